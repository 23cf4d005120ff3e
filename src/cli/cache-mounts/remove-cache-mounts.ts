import { createClient } from '@connectrpc/connect';
import { CacheMounts } from '../../api/gen/kiln_cache_mounts_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';

/** `kiln cache-mount rm`. Stops at the first that does not exist. */
export async function removeCacheMounts(ids: readonly string[], context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  await using connection = await connect(context);
  const mounts = createClient(CacheMounts, connection.transport);
  for (const id of ids) {
    await mounts.remove({ id }, { signal });
    stdout.write(`removed ${id}\n`);
  }
}
