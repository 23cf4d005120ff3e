import { createHash } from 'node:crypto';
import { KilnError } from '../../../base/errors.ts';
import { openPgpHeader } from '../../signatures/openpgp-signature.ts';
import { sshHeader } from '../../signatures/ssh-signature.ts';

/** An object of a repository, taken apart as git does it. */
export interface SignedObject {
  /** What the signature is made over. */
  readonly payload: Uint8Array;
  readonly signature: string;
}

/**
 * Takes the signature out of a commit: its header `gpgsig`, or `gpgsig-sha256` where names are made by SHA-256. Undefined when it has none. Throws
 * `failed_precondition` for more than one, and for bytes that are not those of the object `name`.
 */
export function signedCommit(name: string, object: Uint8Array): SignedObject | undefined {
  checkName('commit', name, object);
  // A character for each byte, whatever the encoding is.
  const text = Buffer.from(object).toString('latin1');
  const end = text.indexOf('\n\n');
  const headers = (end < 0 ? text : text.slice(0, end + 1)).split('\n');
  const wanted = name.length === 64 ? 'gpgsig-sha256' : 'gpgsig';
  const kept: string[] = [];
  const signatures: string[][] = [];
  let current: string[] | undefined;
  for (const line of headers) {
    if (line.startsWith(' ') && current) {
      current.push(line.slice(1));
      continue;
    }
    const [, header, first] = /^(gpgsig(?:-sha256)?) (.*)$/.exec(line) ?? [];
    current = header === undefined ? undefined : [first!];
    if (!current) kept.push(line);
    else if (header === wanted) signatures.push(current);
  }
  if (signatures.length > 1)
    throw new KilnError('failed_precondition', `commit ${name} has several signatures`);
  const [signature] = signatures;
  if (!signature) return undefined;
  const payload = kept.join('\n') + (end < 0 ? '' : text.slice(end + 1));
  return { payload: Buffer.from(payload, 'latin1'), signature: signature.join('\n') };
}

/** Takes the signature from the end of an annotated tag. Undefined when it has none. Throws as `signedCommit` does. */
export function signedTag(name: string, object: Uint8Array): SignedObject | undefined {
  checkName('tag', name, object);
  const text = Buffer.from(object).toString('latin1');
  const start = Math.max(...[openPgpHeader, sshHeader].map((header) => text.lastIndexOf(`\n${header}`)));
  if (start < 0) return undefined;
  return { payload: Buffer.from(text.slice(0, start + 1), 'latin1'), signature: text.slice(start + 1) };
}

function checkName(type: string, name: string, object: Uint8Array): void {
  const hash = createHash(name.length === 64 ? 'sha256' : 'sha1');
  const found = hash.update(`${type} ${object.length}\0`).update(object).digest('hex');
  if (found === name) return;
  throw new KilnError(
    'failed_precondition',
    `${type} object ${name} has other bytes: checksum mismatch, got ${found}`,
  );
}
