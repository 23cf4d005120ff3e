import { asKilnError } from '../base/errors.ts';
import { resolveLayoutTag } from './layout-index.ts';
import type { RemoteCache } from './solve-request.ts';

/** The tag of cache mounts in the directory of a local cache. */
export function mountsTag({ attributes }: RemoteCache): string {
  return `${attributes.tag ?? 'latest'}-mounts`;
}

/** Tells which cache mounts the directory of a local cache has, by their digest, since the client keeps its index. */
export async function withMountsDigest(cache: RemoteCache): Promise<RemoteCache> {
  const { dest, src = dest } = cache.attributes;
  if (cache.type !== 'local' || src === undefined) return cache;
  try {
    const digest = await resolveLayoutTag(src, mountsTag(cache));
    return { ...cache, attributes: { ...cache.attributes, 'mounts-digest': digest } };
  } catch (error) {
    if (asKilnError(error).code === 'not_found') return cache;
    throw error;
  }
}
