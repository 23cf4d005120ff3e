import { type Digest, digestOf, parseDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Attributes } from '../../base/text/attributes.ts';
import { type ContentClient, createContentClient } from '../../session/requests/content-client.ts';
import type { SessionManager } from '../../session/session.ts';
import {
  type CacheAccess,
  type CacheBackend,
  type CacheBackendType,
  type CachePurpose,
  maxDocumentSize,
} from '../cache-backend.ts';
import { downloadBlob } from '../download-blob.ts';

export interface LocalCacheServices {
  readonly sessions: SessionManager;
}

/**
 * Caches in a directory of the client, an OCI layout, through its session: `dest` to export, `src` and `digest` to import. The client keeps
 * the layout's index, and tells which digest a tag stands for.
 */
export function createLocalCache(services: LocalCacheServices): CacheBackendType {
  return {
    type: 'local',
    exportName: 'exporting cache to client directory',
    open: (attributes, purpose) => openLocalCache(attributes, purpose, services),
  };
}

function openLocalCache(
  attributes: Attributes,
  purpose: CachePurpose,
  { sessions }: LocalCacheServices,
): CacheBackend {
  const { directory, manifest } = placeOf(attributes, purpose);
  const withClient = <T>(
    { sessions: ids, signal }: CacheAccess,
    work: (client: ContentClient) => Promise<T>,
  ): Promise<T> => {
    if (ids.length === 0)
      throw new KilnError('unavailable', 'local cache exporter/importer requires session');
    return sessions.any(ids, (session) => work(createContentClient(session, `local:${directory}`)), signal);
  };
  const has = (digest: Digest, access: CacheAccess) =>
    withClient(access, async (client) => (await client.size(digest, access.signal)) !== undefined);

  return {
    place: `local:${directory}`,
    form: 'manifest',
    names: [manifest ?? 'index.json'],
    uploads: 4,
    needsSession: true,

    hasBlob: ({ digest }, access) => has(digest, access),

    async writeBlob(blob, body, access) {
      await withClient(access, async (client) =>
        client.write(blob, await body.open(access.signal), access.signal),
      );
    },

    async fetchBlob(blob, store, access) {
      await withClient(access, (client) =>
        downloadBlob(blob, store, access, async (offset) => client.read(blob.digest, offset, access.signal)),
      );
    },

    async readDocument(_name, known, access) {
      const digest = manifest ?? (known as Digest | undefined);
      if (digest === undefined || !(await has(digest, access))) return undefined;
      if (digest === known) return 'unchanged';
      const bytes = await withClient(access, (client) => readAll(client.read(digest, 0, access.signal)));
      if (digestOf(bytes) === digest) return { bytes, version: digest };
      throw new KilnError('data_loss', `${digest} in ${directory} has other content than its name says`);
    },

    async writeDocument(_name, { descriptor, bytes }, access) {
      await withClient(access, (client) => client.write(descriptor, once(bytes), access.signal));
    },
  };
}

/** Throws `invalid_argument`. */
function placeOf(
  { dest, src, digest }: Attributes,
  purpose: CachePurpose,
): { readonly directory: string; readonly manifest?: Digest } {
  if (purpose === 'export') {
    if (dest) return { directory: dest };
    throw new KilnError('invalid_argument', 'local cache exporter requires dest');
  }
  if (!digest) throw new KilnError('invalid_argument', 'local cache importer requires explicit digest');
  if (!src) throw new KilnError('invalid_argument', 'local cache importer requires src');
  return { directory: src, manifest: parseDigest(digest) };
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const read: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > maxDocumentSize)
      throw new KilnError('invalid_argument', `a manifest has more than ${maxDocumentSize} bytes`);
    read.push(chunk);
  }
  return Buffer.concat(read);
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
