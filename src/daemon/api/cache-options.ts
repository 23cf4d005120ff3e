import type { CacheOptions } from '../../api/gen/control_pb.js';
import type { CacheRequest } from '../../engine/caches/cache-exports.ts';

/** The caches that a message asks for. Clients from before BuildKit 0.4 name registries by references alone. */
export function cacheRequests(message: CacheOptions | undefined): {
  readonly cacheExports: readonly CacheRequest[];
  readonly cacheImports: readonly CacheRequest[];
} {
  if (!message) return { cacheExports: [], cacheImports: [] };
  const { exports, imports, oldExportRef, oldExportAttrs, oldImportRefs } = message;
  return {
    cacheExports: [
      ...exports.map(requestOf),
      ...(oldExportRef === '' ? [] : [{ type: 'registry', attrs: { ...oldExportAttrs, ref: oldExportRef } }]),
    ],
    cacheImports: [
      ...imports.map(requestOf),
      ...oldImportRefs.map((ref) => ({ type: 'registry', attrs: { ref } })),
    ],
  };
}

function requestOf({ type, attrs }: CacheOptions['exports'][number]): CacheRequest {
  return { type, attrs };
}
