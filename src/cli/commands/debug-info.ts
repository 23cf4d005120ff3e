import { createClient } from '@connectrpc/connect';
import { Control } from '../../api/gen/control_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { formatTable } from '../table.ts';

export interface InfoFlags {
  readonly format?: string;
}

/** `kiln debug info`: the engine and its version. */
export async function debugInfo(flags: InfoFlags, context: CommandContext): Promise<void> {
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const { version } = await createClient(Control, connection.transport).info({}, { signal: context.signal });
  const { package: name = '', version: number = '', revision = '', dockerfileVersion } = version ?? {};
  if (format === 'json') {
    const buildkitVersion = {
      package: name,
      version: number,
      revision,
      dockerfileVersion: dockerfileVersion || undefined,
    };
    context.stdout.write(`${JSON.stringify({ buildkitVersion })}\n`);
    return;
  }
  context.stdout.write(
    formatTable([
      ['BuildKit:', [name, number, revision].filter(Boolean).join(' ')],
      ...(dockerfileVersion ? [['Dockerfile:', dockerfileVersion]] : []),
    ]),
  );
}
