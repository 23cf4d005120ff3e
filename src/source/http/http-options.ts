import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import { checksumHint, type FileChecksum, parseFileChecksum } from '../../llb/file-checksum.ts';
import type { SourceOp } from '../../llb/op.ts';
import { type FileAttributes, parseFileAttributes } from '../file-attributes.ts';

/** An `http://` or `https://` source's identifier and attributes, parsed. By default the file is called as the server or the URL calls it. */
export interface HttpOptions extends FileAttributes {
  readonly url: URL;
  readonly checksum: Digest | undefined;
  /** A checksum of another algorithm: it does not tell which file is wanted, but whether one is. */
  readonly otherChecksum: FileChecksum | undefined;
  /** A detached signature that the file has to have, and those who are trusted. */
  readonly signature: { readonly keys: string; readonly signature: string } | undefined;
  /** The secret with the value of the header `Authorization`. */
  readonly authHeaderSecret: string | undefined;
  /** Sent along; lower-case names, sorted. */
  readonly headers: Readonly<Record<string, string>>;
}

const headerPrefix = 'http.header.';
/** The only headers that definitions may set: others are ignored. */
const settableHeaders: ReadonlySet<string> = new Set(['accept', 'user-agent']);

/** Throws `invalid_argument` naming the attribute. */
export function parseHttpOptions({ identifier, attrs }: SourceOp): HttpOptions {
  return {
    url: parseUrl(identifier),
    ...parseFileAttributes({ identifier, attrs }),
    ...parseChecksum(attrs['http.checksum']),
    signature: parseSignature(attrs),
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

function parseChecksum(text: string | undefined): Pick<HttpOptions, 'checksum' | 'otherChecksum'> {
  if (!text) return { checksum: undefined, otherChecksum: undefined };
  const parsed = parseFileChecksum(text);
  if (!parsed) throw invalid('http.checksum', text, checksumHint);
  return isDigest(text)
    ? { checksum: text, otherChecksum: undefined }
    : { checksum: undefined, otherChecksum: parsed };
}

function parseSignature(attrs: SourceOp['attrs']): HttpOptions['signature'] {
  const keys = attrs['http.sig.pubkey'];
  const signature = attrs['http.sig.signature'];
  if (keys === undefined && signature === undefined) return undefined;
  if (keys && signature) return { keys, signature };
  throw new KilnError(
    'invalid_argument',
    'http signature verification requires both pubkey and signature: give http.sig.pubkey and http.sig.signature',
  );
}

/** Identifies what a server is asked, whoever asks: an earlier answer to the same request may still be right. */
export function requestDigest(options: HttpOptions): Digest {
  const { url, filename, mode, uid, gid, authHeaderSecret, headers } = options;
  return canonicalDigest('http-request', [url.href, filename, mode, uid, gid, authHeaderSecret, headers]);
}

function parseUrl(identifier: string): URL {
  const url = URL.parse(identifier);
  if (url?.host) return url;
  throw new KilnError('invalid_argument', `invalid URL ${JSON.stringify(withoutCredentials(identifier))}`, {
    hint: 'write it as http://HOST/PATH or https://HOST/PATH',
  });
}

function invalid(key: string, text: string, want: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `invalid ${key} ${JSON.stringify(text)} of an http source: ${want}`,
  );
}
