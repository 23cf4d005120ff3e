import { exportCacheMounts, importCacheMounts } from '../../client/transfer-mounts.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { withAwsCredentials } from '../options/values/aws-credentials.ts';
import { parseExportCache, parseImportCache } from '../options/values/parse-cache.ts';
import { printable } from '../printable.ts';
import { formatBytes } from '../progress/format-bytes.ts';

/** `kiln cache-mount export`: says what was sent. */
export async function exportMounts(
  text: string,
  ids: readonly string[],
  context: CommandContext,
): Promise<void> {
  const { environment, signal, stdout } = context;
  const cache = await withAwsCredentials(parseExportCache(text, environment), environment);
  await using connection = await connect(context);
  const { exported, skipped, sent } = await exportCacheMounts(connection, cache, ids, signal);
  for (const id of exported) stdout.write(`exported ${printable(id)}\n`);
  for (const id of skipped)
    stdout.write(`skipped ${printable(id)}: it is not here, or a step has it alone\n`);
  stdout.write(`sent ${formatBytes(Number(sent))}\n`);
}

/** `kiln cache-mount import`. */
export async function importMounts(
  text: string,
  ids: readonly string[],
  context: CommandContext,
): Promise<void> {
  const { environment, signal, stdout } = context;
  const cache = await withAwsCredentials(parseImportCache(text, environment), environment);
  await using connection = await connect(context);
  const { imported, newer, missing } = await importCacheMounts(connection, cache, ids, signal);
  for (const id of imported) stdout.write(`imported ${printable(id)}\n`);
  for (const id of newer) stdout.write(`kept ${printable(id)}: it is in use here, or was used here later\n`);
  for (const id of missing) stdout.write(`skipped ${printable(id)}: it is not there\n`);
}
