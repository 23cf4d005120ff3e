import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { CacheMounts } from '../../api/gen/kiln_cache_mounts_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { formatBytes } from '../progress/format-bytes.ts';
import { formatTable } from '../table.ts';

/** `kiln cache-mount ls`. */
export async function listCacheMounts(
  flags: { readonly format?: string },
  context: CommandContext,
): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const { mounts } = await createClient(CacheMounts, connection.transport).list({}, { signal });
  const listed = mounts
    .map(({ id, createdAt, lastUsedAt, size, inUse }) => ({
      id,
      size: size === undefined ? undefined : Number(size),
      createdAt: createdAt && timestampDate(createdAt).toISOString(),
      lastUsedAt: lastUsedAt && timestampDate(lastUsedAt).toISOString(),
      inUse,
    }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  if (format === 'json') {
    stdout.write(`${JSON.stringify(listed)}\n`);
    return;
  }
  const rows = listed.map(({ id, size, lastUsedAt, inUse }) => [
    id,
    size === undefined ? '-' : formatBytes(size),
    inUse ? 'in use' : (lastUsedAt ?? 'never'),
  ]);
  stdout.write(formatTable([['ID', 'SIZE', 'LAST USED'], ...rows]));
}
