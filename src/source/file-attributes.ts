import { KilnError } from '../base/errors.ts';
import { withoutCredentials } from '../base/secrecy/without-credentials.ts';
import type { SourceOp } from '../llb/op.ts';

/** What a definition says about the only file of a source's tree. */
export interface FileAttributes {
  /** What the file is called; undefined to leave that to the source. */
  readonly filename: string | undefined;
  /** What the definition says about permissions, 0 if nothing. */
  readonly perm: number;
  /** Permission bits of the file. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const defaultMode = 0o600;

/** Throws `invalid_argument` naming the attribute. */
export function parseFileAttributes({ identifier, attrs }: SourceOp): FileAttributes {
  const integer = (key: string) => parseInteger(identifier, attrs, key);
  const perm = integer('http.perm');
  return {
    filename: attrs['http.filename'] || undefined,
    perm,
    mode: perm & 0o777 || defaultMode,
    uid: integer('http.uid'),
    gid: integer('http.gid'),
  };
}

/** As Go reads integers: `0741` and `0o741` are octal, `0x1e1` is hexadecimal. */
function parseInteger(identifier: string, attrs: SourceOp['attrs'], key: string): number {
  const text = attrs[key] || '0';
  const octal = /^0[0-7]+$/.test(text) ? `0o${text}` : text;
  const value = /^(\d+|0o[0-7]+|0x[\da-f]+|0b[01]+)$/i.test(octal) ? Number(octal) : Number.NaN;
  if (Number.isInteger(value) && value < 2 ** 32) return value;
  throw new KilnError(
    'invalid_argument',
    `${withoutCredentials(identifier)}: invalid ${key} ${JSON.stringify(text)}: want a whole number`,
  );
}
