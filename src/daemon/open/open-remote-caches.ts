import { CacheMounts } from '../../cache-mounts/cache-mounts.ts';
import type { Registry } from '../../registry/registry.ts';
import { azblobCache } from '../../remote-cache/backends/azure/azblob-cache.ts';
import { createGhaCache } from '../../remote-cache/backends/gha/gha-cache.ts';
import { createLocalCache } from '../../remote-cache/backends/local-cache.ts';
import { createRegistryCache } from '../../remote-cache/backends/registry-cache.ts';
import { s3Cache } from '../../remote-cache/backends/s3/s3-cache.ts';
import { RemoteCaches } from '../../remote-cache/remote-caches.ts';
import type { EngineClients } from './open-clients.ts';
import type { EngineStorage } from './open-storage.ts';
import type { EngineThreads } from './open-threads.ts';

export interface RemoteCachesOptions {
  readonly storage: EngineStorage;
  readonly threads: EngineThreads;
  readonly clients: EngineClients;
  readonly registry: Registry;
}

/** Every type of remote cache there is: a new one is added to the list here. */
export function openRemoteCaches({ storage, threads, clients, registry }: RemoteCachesOptions): {
  readonly caches: RemoteCaches;
  readonly cacheMounts: CacheMounts;
} {
  const { content, layerImport, layerExport, cacheDirectories } = storage;
  const all = [
    createRegistryCache({ registry, credentials: clients.credentials }),
    createLocalCache({ sessions: clients.sessions }),
    s3Cache,
    azblobCache,
    createGhaCache(),
  ];
  const types = new Map(all.map((each) => [each.type, each]));
  return {
    caches: new RemoteCaches({ types, content, layerImport, layerExport }),
    cacheMounts: new CacheMounts({ types, cacheDirectories, content, threads: threads.files }),
  };
}
