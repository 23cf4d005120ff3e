import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import type { SourceOp } from '../../llb/op.ts';
import { type FileAttributes, parseFileAttributes } from '../file-attributes.ts';

/** An `http://` or `https://` source's identifier and attributes, parsed. By default the file is called as the server or the URL calls it. */
export interface HttpOptions extends FileAttributes {
  readonly url: URL;
  readonly checksum: Digest | undefined;
  /** The secret with the value of the header `Authorization`. */
  readonly authHeaderSecret: string | undefined;
  /** Sent along; lower-case names, sorted. */
  readonly headers: Readonly<Record<string, string>>;
}

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
  return {
    url: parseUrl(identifier),
    ...parseFileAttributes({ identifier, attrs }),
    checksum,
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

function invalid(key: string, text: string, want: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `invalid ${key} ${JSON.stringify(text)} of an http source: ${want}`,
  );
}
