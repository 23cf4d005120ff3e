import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import type { SourceOp } from '../../llb/op.ts';

/** An `http://` or `https://` source's identifier and attributes, parsed. */
export interface HttpOptions {
  readonly url: URL;
  /** What the file is called in the tree; by default as the server or the URL calls it. */
  readonly filename: string | undefined;
  readonly checksum: Digest | undefined;
  /** What the definition says about permissions, 0 if nothing. */
  readonly perm: number;
  /** Permission bits of the file. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The secret with the value of the header `Authorization`. */
  readonly authHeaderSecret: string | undefined;
  /** Sent along; lower-case names, sorted. */
  readonly headers: Readonly<Record<string, string>>;
}

const defaultMode = 0o600;
const headerPrefix = 'http.header.';
/** The only headers that definitions may set: others are ignored. */
const settableHeaders: ReadonlySet<string> = new Set(['accept', 'user-agent']);

/** Throws `invalid_argument` naming the attribute, `unimplemented` for a signature that would have to be verified. */
export function parseHttpOptions({ identifier, attrs }: SourceOp): HttpOptions {
  for (const key of ['http.sig.pubkey', 'http.sig.signature']) {
    if (attrs[key] === undefined) continue;
    throw new KilnError('unimplemented', `${identifier}: ${key}: signatures cannot be verified`, {
      hint: 'pin the file by its checksum',
    });
  }
  const checksum = attrs['http.checksum'] || undefined;
  if (checksum !== undefined && !isDigest(checksum)) {
    throw invalid('http.checksum', checksum, 'want sha256:<64 hex digits>');
  }
  const perm = parseInteger(attrs, 'http.perm');
  return {
    url: parseUrl(identifier),
    filename: attrs['http.filename'] || undefined,
    checksum,
    perm,
    mode: perm & 0o777 || defaultMode,
    uid: parseInteger(attrs, 'http.uid'),
    gid: parseInteger(attrs, 'http.gid'),
    authHeaderSecret: attrs['http.authheadersecret'] || undefined,
    headers: Object.fromEntries(
      Object.entries(attrs)
        .filter(([key]) => key.startsWith(headerPrefix))
        .map(([key, value]) => [key.slice(headerPrefix.length).toLowerCase(), value] as const)
        .filter(([name]) => settableHeaders.has(name))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
  };
}

/** Identifies what a server is asked, whoever asks: an earlier answer to the same request may still be right. */
export function requestDigest(options: HttpOptions): Digest {
  const { url, filename, mode, uid, gid, authHeaderSecret, headers } = options;
  return canonicalDigest('http-request', [url.href, filename, mode, uid, gid, authHeaderSecret, headers]);
}

function parseUrl(identifier: string): URL {
  const url = URL.parse(identifier);
  if (url?.host) return url;
  throw new KilnError('invalid_argument', `invalid URL ${JSON.stringify(identifier)}`, {
    hint: 'write it as http://HOST/PATH or https://HOST/PATH',
  });
}

/** As Go reads integers: `0741` and `0o741` are octal, `0x1e1` is hexadecimal. */
function parseInteger(attrs: SourceOp['attrs'], key: string): number {
  const text = attrs[key] || '0';
  const octal = /^0[0-7]+$/.test(text) ? `0o${text}` : text;
  const value = /^(\d+|0o[0-7]+|0x[\da-f]+|0b[01]+)$/i.test(octal) ? Number(octal) : Number.NaN;
  if (Number.isInteger(value) && value < 2 ** 32) return value;
  throw invalid(key, text, 'want a whole number');
}

function invalid(key: string, text: string, want: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `invalid ${key} ${JSON.stringify(text)} of an http source: ${want}`,
  );
}
