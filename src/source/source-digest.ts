import { type Digest, digestOf } from '../base/digest.ts';

/** The digest by which BuildKit's cache knows a source, given what the source's kind calls its files. */
export function sourceDigest(name: string): Digest {
  return digestOf(`buildkit.source.v0:${name}`);
}
