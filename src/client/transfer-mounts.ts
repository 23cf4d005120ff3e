import { randomBytes } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import {
  CacheMounts,
  type ExportCacheMountsResponse,
  type ImportCacheMountsResponse,
} from '../api/gen/kiln_cache_mounts_pb.js';
import { authService } from '../client-services/auth-service.ts';
import { contentService } from '../client-services/content-service.ts';
import { healthService } from '../client-services/health-service.ts';
import { createServiceHost } from '../session/service-host.ts';
import type { Connection } from './connection.ts';
import { addToLayoutIndex } from './layout-index.ts';
import { mountsTag, withMountsDigest } from './mounts-digest.ts';
import type { RemoteCache } from './solve-request.ts';

/** Has the engine bring cache mounts to the place beside a cache, with this client's logins and directories. No ids: all. */
export async function exportCacheMounts(
  connection: Connection,
  cache: RemoteCache,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ExportCacheMountsResponse> {
  const known = await withMountsDigest(cache);
  const response = await withSession(connection, known, signal, (session, ended) =>
    createClient(CacheMounts, connection.transport).export(
      { type: known.type, attributes: { ...known.attributes }, ids: [...ids], session },
      { signal: ended },
    ),
  );
  const { dest } = cache.attributes;
  if (cache.type === 'local' && dest && response.manifest !== '') {
    await addToLayoutIndex(dest, JSON.parse(response.manifest), [{ kind: 'tag', tag: mountsTag(cache) }]);
  }
  return response;
}

/** Has the engine bring cache mounts from there. */
export async function importCacheMounts(
  connection: Connection,
  cache: RemoteCache,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ImportCacheMountsResponse> {
  const known = await withMountsDigest(cache);
  return await withSession(connection, known, signal, (session, ended) =>
    createClient(CacheMounts, connection.transport).import(
      { type: known.type, attributes: { ...known.attributes }, ids: [...ids], session },
      { signal: ended },
    ),
  );
}

async function withSession<T>(
  connection: Connection,
  { type, attributes }: RemoteCache,
  signal: AbortSignal,
  work: (session: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const id = randomBytes(16).toString('hex');
  const directory = type === 'local' ? (attributes.dest ?? attributes.src) : undefined;
  const stores =
    directory === undefined ? [] : [contentService(new Map([[`local:${directory}`, directory]]))];
  const services = createServiceHost([healthService(), authService(), ...stores]);
  await using session = await connection.attachSession(services, { id, name: '', sharedKey: '' }, signal);
  return await work(id, AbortSignal.any([session.closed, signal]));
}
