import { CommanderError } from 'commander';
import { asKilnError } from '../../base/errors.ts';
import { parsePlatform } from '../../base/platform.ts';
import { runImage } from '../../client/processes/run-image.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { formatError } from '../format-error.ts';
import { DelayedDisplay } from './delayed-display.ts';
import type { RunFlags } from './run-flags.ts';
import { requestedProcess } from './run-process.ts';
import { openRunTerminal } from './run-terminal.ts';
import { talkAsUser } from './talk-as-user.ts';

/** The exit code when there was no process, as with `docker run`. */
const noProcess = 125;

/** `kiln run`: its exit code is the process's. */
export async function run(
  image: string,
  command: readonly string[],
  flags: RunFlags,
  context: CommandContext,
): Promise<void> {
  await endAsProcess(context, () => runProcess(image, command, flags, context));
}

/** Ends the command with the exit code of the process that `work` runs, or says why there was none. */
export async function endAsProcess(
  { signal, stderr, debug }: CommandContext,
  work: () => Promise<number>,
): Promise<void> {
  const code = await work().catch((error) => {
    if (signal.aborted) throw error;
    const failure = asKilnError(error);
    stderr.write(formatError(failure, { debug }));
    const exit = failure.details.find((detail) => detail.kind === 'exit');
    return exit?.code ?? noProcess;
  });
  if (code !== 0) throw new CommanderError(code, 'kiln.run', 'the process ended so');
}

async function runProcess(
  image: string,
  command: readonly string[],
  flags: RunFlags,
  context: CommandContext,
): Promise<number> {
  const terminal = openRunTerminal(flags, context);
  const process = await requestedProcess(command, flags, context.environment, terminal.size);
  const platform = flags.platform === undefined ? undefined : parsePlatform(flags.platform);
  await using connection = await connect(context);
  using display = new DelayedDisplay(context, flags.quiet ?? false);
  return await talkAsUser(context, terminal, async (user, signal) => {
    return await runImage(
      connection,
      { image, platform, pull: flags.pull ?? false, process: (config) => process.on(config) },
      {
        ...user,
        progress: (status) => display.update(status),
        started(control) {
          display.finish();
          user.started(control);
        },
      },
      signal,
    );
  });
}
