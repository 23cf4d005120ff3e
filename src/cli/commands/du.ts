import { createClient } from '@connectrpc/connect';
import { Control, type UsageRecord } from '../../api/gen/control_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { usageDetails, usageHeader, usageJson, usageRow, usageSummary } from '../usage-format.ts';

export interface DuFlags {
  readonly filter: readonly string[];
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `kiln du`: the records of the build cache with their sizes, smallest first. */
export async function du(flags: DuFlags, context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const control = createClient(Control, connection.transport);
  const response = await control.diskUsage({ filters: [...flags.filter] }, { signal });
  const records = response.records.toSorted(bySize);
  if (format === 'json') {
    stdout.write(`${JSON.stringify(records.map(usageJson))}\n`);
    return;
  }
  stdout.write(
    flags.verbose ? records.map(usageDetails).join('') : usageHeader + records.map(usageRow).join(''),
  );
  if (flags.filter.length === 0) stdout.write(usageSummary(records));
}

function bySize(a: UsageRecord, b: UsageRecord): number {
  if (a.size !== b.size) return a.size < b.size ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}
