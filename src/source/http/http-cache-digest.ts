import { type Digest, digestOf } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import { nonEmpty } from '../../base/json/json-steps.ts';
import { sourceDigest } from '../source-digest.ts';
import type { FileIdentity } from './http-downloads.ts';
import type { HttpOptions } from './http-options.ts';

/** The digest by which BuildKit's cache knows a downloaded file. */
export function httpCacheDigest(
  { perm, uid, gid, authHeaderSecret, headers }: HttpOptions,
  { digest, filename, modifiedAt }: Pick<FileIdentity, 'digest' | 'filename' | 'modifiedAt'>,
): Digest {
  const fields = {
    Filename: filename,
    Perm: perm,
    UID: uid,
    GID: gid,
    Checksum: digest,
    ...nonEmpty({
      LastModTime: modifiedAt ? new Date(modifiedAt).toUTCString() : '',
      AuthHeaderSecret: authHeaderSecret,
      Header: Object.entries(headers).map(([name, value]) => ({ Name: canonicalName(name), Value: value })),
    }),
  };
  return sourceDigest(digestOf(goJson(fields)));
}

/** The name of a header with a capital at the start of each word. */
function canonicalName(name: string): string {
  return name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}
