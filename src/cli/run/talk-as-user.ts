import { once } from 'node:events';
import { errnoOf, KilnError } from '../../base/errors.ts';
import type { ProcessEnd, ProcessUser, RunControl } from '../../client/processes/talk-to-process.ts';
import type { CommandContext } from '../command-context.ts';
import { interruptedExitCode } from '../interruption.ts';
import type { RunTerminal } from './run-terminal.ts';

/** Milliseconds that a process has to end after it was asked to. */
const patience = 10_000;

/**
 * Lets the user talk to the process that `run` runs, and returns the exit code. The terminal is the process's from its start to its end; whatever happens, the
 * user then has it back as it was. Standard input is used up.
 */
export async function talkAsUser(
  context: CommandContext,
  terminal: RunTerminal,
  run: (user: ProcessUser, signal: AbortSignal) => Promise<ProcessEnd>,
): Promise<number> {
  const { stdin, stdout, stderr } = context;
  const lost = new AbortController();
  const onLost = (error: Error) => {
    if (errnoOf(error) === 'EPIPE') lost.abort(new KilnError('canceled', 'nobody reads the output any more'));
  };
  stdout.on('error', onLost);
  try {
    using asking = new Asking(context, lost);
    const user: ProcessUser = {
      input: terminal.input,
      async output(stream, data) {
        const target = stream === 1 ? stdout : stderr;
        if (target.write(data) || target.destroyed) return;
        await once(target, 'drain', { signal: lost.signal }).catch(() => {});
      },
      started(control) {
        asking.of(control);
        terminal.start(control);
      },
    };
    const { code, outOfMemory } = await run(user, lost.signal);
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
