import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { mediaTypes } from '../oci/descriptor.ts';
import { encodeManifest, parseManifest } from '../oci/manifest.ts';
import type { CacheAccess, CacheBackend, CacheDocument } from '../remote-cache/cache-backend.ts';
import { maxStoredIndex } from './mount-index.ts';
import { openTemporaryStore } from './temporary-store.ts';

/** Kiln's own: clients of BuildKit do not know it and need not. */
export const mountsType = 'application/vnd.kiln.cache-mounts.v1';
export const indexType = 'application/vnd.kiln.cache-mounts.index.v1+zstd';
export const packType = 'application/vnd.kiln.cache-mounts.pack.v1+zstd';

/** The document of a place of cache mounts: an OCI manifest, so that a registry keeps what it names. */
export interface StoredMounts {
  readonly manifest: Descriptor;
  readonly index: Descriptor;
  /** The index as it is stored. */
  readonly bytes: Uint8Array;
}

/** Reads what a place has. Undefined when there is nothing. Throws `data_loss` or `not_found` when a part of it is, and `failed_precondition` for what is something else. */
export async function readStoredMounts(
  backend: CacheBackend,
  temporaryDirectory: string,
  access: CacheAccess,
): Promise<StoredMounts | undefined> {
  const document = await firstDocument(backend, access);
  if (!document) return undefined;
  const { bytes, mediaType } = document;
  const parsed = parseManifest(bytes, backend.place, mediaType || mediaTypes.ociManifest);
  if (parsed.kind !== 'manifest' || parsed.config.mediaType !== indexType) {
    throw new KilnError('failed_precondition', `${backend.place} has no cache mounts, but something else`);
  }
  const index = parsed.config;
  if (index.size > maxStoredIndex)
    throw new KilnError('data_loss', `${backend.place}: the index is too large`);
  await using fetched = await openTemporaryStore(temporaryDirectory);
  await backend.fetchBlob(index, fetched.content, access);
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  return { manifest, index, bytes: await fetched.content.readAll(index.digest) };
}

/** Writes the document that names an index and its packs, which the place must have by now. */
export async function writeStoredMounts(
  backend: CacheBackend,
  index: Descriptor,
  packs: readonly Descriptor[],
  access: CacheAccess,
): Promise<Descriptor> {
  const mediaType = mediaTypes.ociManifest;
  const bytes = encodeManifest({
    kind: 'manifest',
    mediaType,
    artifactType: mountsType,
    config: index,
    layers: packs,
  });
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  for (const name of backend.names) await backend.writeDocument(name, { descriptor, bytes }, access);
  return descriptor;
}

/** A branch that has no mounts of its own begins with those of the branch that it came from, whose name is after its own. */
async function firstDocument(backend: CacheBackend, access: CacheAccess): Promise<CacheDocument | undefined> {
  for (const name of backend.names) {
    const document = await backend.readDocument(name, undefined, access).catch(ifMissing);
    if (document && document !== 'unchanged') return document;
  }
  return undefined;
}

function ifMissing(error: unknown): undefined {
  if (error instanceof KilnError && error.code === 'not_found') return undefined;
  throw error;
}
