import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { BuildHistoryEventType, type BuildHistoryRecord, Control } from '../../api/gen/control_pb.js';
import { asKilnError, type KilnError } from '../../base/errors.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';

export interface PruneHistoriesFlags {
  readonly format?: string;
}

/** `kiln prune-histories`: forgets all builds that are not pinned. Goes on when one cannot be removed, and fails at the end. */
export async function pruneHistories(flags: PruneHistoriesFlags, context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const control = createClient(Control, connection.transport);
  let failure: KilnError | undefined;
  if (format === 'table') stdout.write('TYPE\tREF\tCREATED\tCOMPLETED\tGENERATION\n');
  for await (const { type, record } of control.listenBuildHistory({ earlyExit: true }, { signal })) {
    if (!record || record.pinned) continue;
    try {
      await control.updateBuildHistory({ ref: record.ref, delete: true }, { signal });
    } catch (error) {
      failure ??= asKilnError(error).wrap(`cannot remove the record of build ${record.ref}`);
      continue;
    }
    const shown = historyFields(BuildHistoryEventType[type] ?? String(type), record);
    stdout.write(format === 'json' ? `${JSON.stringify(shown)}\n` : `${Object.values(shown).join('\t')}\n`);
  }
  if (failure) throw failure;
}

function historyFields(type: string, record: BuildHistoryRecord) {
  return {
    type,
    ref: record.ref,
    created: record.createdAt ? timestampDate(record.createdAt).toISOString() : '',
    completed: record.completedAt ? timestampDate(record.completedAt).toISOString() : '',
    generation: record.generation,
  };
}
