import { createClient } from '@connectrpc/connect';
import { Control } from '../../api/gen/control_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { parseDuration, parseMegabytes } from '../options/values/parse-values.ts';
import { formatBytes } from '../progress/format-bytes.ts';
import { usageDetails, usageHeader, usageJson, usageRow } from '../usage-format.ts';

export interface PruneFlags {
  readonly keepDuration?: string;
  readonly keepStorage?: string;
  readonly keepStorageMin?: string;
  readonly freeStorage?: string;
  readonly filter: readonly string[];
  readonly all?: boolean;
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `kiln prune`: removes what nothing uses, and shows each record as it goes. */
export async function prune(flags: PruneFlags, context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  const megabytes = (flag: string, text: string | undefined) => (text ? parseMegabytes(flag, text) : 0n);
  const request = {
    filters: [...flags.filter],
    all: flags.all ?? false,
    keepDuration: flags.keepDuration ? parseDuration('--keep-duration', flags.keepDuration) : 0n,
    maxUsedSpace: megabytes('--keep-storage', flags.keepStorage),
    reservedSpace: megabytes('--keep-storage-min', flags.keepStorageMin),
    minFreeSpace: megabytes('--free-storage', flags.freeStorage),
  };
  await using connection = await connect(context);
  const control = createClient(Control, connection.transport);
  let total = 0n;
  let isFirst = true;
  for await (const record of control.prune(request, { signal })) {
    total += record.size;
    if (format === 'json') stdout.write(`${JSON.stringify(usageJson(record))}\n`);
    else if (flags.verbose) stdout.write(usageDetails(record));
    else stdout.write((isFirst ? usageHeader : '') + usageRow(record));
    isFirst = false;
  }
  if (format === 'table') stdout.write(`Total:\t${formatBytes(Number(total))}\n`);
}
