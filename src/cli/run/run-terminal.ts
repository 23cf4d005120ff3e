import type { RunControl } from '../../client/processes/talk-to-process.ts';
import type { CommandContext } from '../command-context.ts';
import type { RunFlags } from './run-flags.ts';

/** The user's side of the process. Disposing gives the user's terminal back as it was. */
export interface RunTerminal extends Disposable {
  /** Of the terminal that the process gets; undefined: none. */
  readonly size: { readonly rows: number; readonly columns: number } | undefined;
  /** What is typed; undefined: the process has no input. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** Once there is a process: what is typed is its business, Ctrl-C as well. */
  start(control: RunControl): void;
}

/** When nobody looks at it. */
const unseen = { rows: 24, columns: 80 };

/** The process gets a terminal when the user has one, or wants it to; and what the user types if there is a terminal, or `-i`. */
export function openRunTerminal(
  { interactive, tty }: Pick<RunFlags, 'interactive' | 'tty'>,
  { stdin, stdout }: Pick<CommandContext, 'stdin' | 'stdout'>,
): RunTerminal {
  const isUsers = stdin.isTTY === true && stdout.isTTY === true;
  const wantsTerminal = tty ?? isUsers;
  const sizeNow = () =>
    stdout.isTTY && stdout.rows > 0 ? { rows: stdout.rows, columns: stdout.columns } : unseen;
  let onResize: (() => void) | undefined;
  let isRaw = false;
  return {
    size: wantsTerminal ? sizeNow() : undefined,
    input: interactive || (wantsTerminal && isUsers) ? (stdin as AsyncIterable<Uint8Array>) : undefined,
    start(control) {
      if (!wantsTerminal || !isUsers) return;
      stdin.setRawMode(true);
      isRaw = true;
      onResize = () => control.resize(sizeNow());
      stdout.on('resize', onResize);
    },
    [Symbol.dispose]() {
      if (onResize) stdout.off('resize', onResize);
      if (isRaw) stdin.setRawMode(false);
      isRaw = false;
    },
  };
}
