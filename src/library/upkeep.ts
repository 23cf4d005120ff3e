import type { WorkerInfo } from '../frontend/frontend.ts';
import type { Client } from './client.ts';
import { connectionOf } from './daemon-client.ts';
import type { CallOptions, PruneOptions, UsageOptions, UsageRecord } from './usage-options.ts';

/** The workers of the daemon, the default one first, with the platforms that they run. */
export async function listWorkers(
  client: Client,
  { signal }: CallOptions = {},
): Promise<readonly WorkerInfo[]> {
  const { transport } = connectionOf(client);
  return await (await import('./list-workers.ts')).workersOf(transport, signal);
}

/**
 * What the build cache holds.
 *
 * @example
 * ```ts
 * import { connect, diskUsage } from 'kiln';
 *
 * await using client = await connect();
 * const records = await diskUsage(client);
 * const total = records.reduce((sum, { size }) => sum + size, 0);
 * assert.ok(total >= 0);
 * ```
 */
export async function diskUsage(client: Client, options: UsageOptions = {}): Promise<readonly UsageRecord[]> {
  const { transport } = connectionOf(client);
  return await (await import('./usage.ts')).usageOf(transport, options);
}

/**
 * Removes what nothing uses from the build cache, and tells of each record as it goes.
 *
 * @example
 * ```ts
 * import { connect, prune } from 'kiln';
 *
 * await using client = await connect();
 * let freed = 0;
 * for await (const { size } of prune(client, { keepDuration: 24 * 3600 * 1000 })) freed += size;
 * assert.ok(freed >= 0);
 * ```
 */
export async function* prune(client: Client, options: PruneOptions = {}): AsyncGenerator<UsageRecord> {
  const { transport } = connectionOf(client);
  yield* (await import('./usage.ts')).pruned(transport, options);
}
