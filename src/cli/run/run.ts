import { once } from 'node:events';
import { CommanderError } from 'commander';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { parsePlatform } from '../../base/platform.ts';
import { type RunControl, runImage } from '../../client/run-image.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { formatError } from '../format-error.ts';
import { interruptedExitCode } from '../interruption.ts';
import { DelayedDisplay } from './delayed-display.ts';
import type { RunFlags } from './run-flags.ts';
import { requestedProcess } from './run-process.ts';
import { openRunTerminal } from './run-terminal.ts';

/** The exit code when there was no process, as with `docker run`. */
const noProcess = 125;
/** Milliseconds that a process has to end after it was asked to. */
const patience = 10_000;

/** `kiln run`: its exit code is the process's. */
export async function run(
  image: string,
  command: readonly string[],
  flags: RunFlags,
  context: CommandContext,
): Promise<void> {
  const code = await runProcess(image, command, flags, context).catch((error) => {
    if (context.signal.aborted) throw error;
    const failure = asKilnError(error);
    context.stderr.write(formatError(failure, { debug: context.debug }));
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
  const { stdin, stdout, stderr, environment } = context;
  const terminal = openRunTerminal(flags, context);
  const process = await requestedProcess(command, flags, environment, terminal.size);
  const platform = flags.platform === undefined ? undefined : parsePlatform(flags.platform);
  const lost = new AbortController();
  const onLost = (error: Error) => {
    if (errnoOf(error) === 'EPIPE') lost.abort(new KilnError('canceled', 'nobody reads the output any more'));
  };
  stdout.on('error', onLost);
  await using connection = await connect(context);
  using display = new DelayedDisplay(context, flags.quiet ?? false);
  using asking = new Asking(context, lost);
  try {
    const { code, outOfMemory } = await runImage(
      connection,
      { image, platform, pull: flags.pull ?? false, process: (config) => process.on(config) },
      {
        input: terminal.input,
        progress: (status) => display.update(status),
        async output(stream, data) {
          const target = stream === 1 ? stdout : stderr;
          if (target.write(data) || target.destroyed) return;
          await once(target, 'drain', { signal: lost.signal }).catch(() => {});
        },
        started(control) {
          display.finish();
          asking.of(control);
          terminal.start(control);
        },
      },
      lost.signal,
    );
    if (outOfMemory) stderr.write('the process was ended because memory was short\n');
    return code;
  } catch (error) {
    if (!lost.signal.aborted) throw error;
    stderr.write('canceled\n');
    return interruptedExitCode;
  } finally {
    stdout.off('error', onLost);
    terminal[Symbol.dispose]();
    stdin.destroy();
  }
}

/** What the user's signals do: the first asks the process to end, another one or time ends it. Before there is one, they end the run. */
class Asking implements Disposable {
  readonly #signals: Disposable;
  readonly #lost: AbortController;
  #control: RunControl | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ takeSignals, stderr }: CommandContext, lost: AbortController) {
    this.#lost = lost;
    this.#signals = takeSignals((name) => {
      if (!this.#control || this.#timer) this.#end();
      else {
        this.#control.signal(name);
        this.#timer = setTimeout(() => this.#end(), patience);
        if (stderr.isTTY) stderr.write(`sent ${name} to the process; once more ends it\n`);
      }
    });
  }

  of(control: RunControl): void {
    this.#control = control;
  }

  #end(): void {
    this.#lost.abort(new KilnError('canceled', 'canceled'));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#signals[Symbol.dispose]();
  }
}
