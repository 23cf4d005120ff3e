import { quoteForShell } from '../quote-for-shell.ts';
import { type RunOptions, runProgram } from '../run-program.ts';

/** Runs a program on a terminal of its own; returns all that was written to it, escape sequences left out. */
export async function inTerminal(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ readonly code: number | null; readonly text: string; readonly raw: string }> {
  // `script` gives the size of a terminal that is none as 0 × 0: set one.
  const command = `stty rows 40 cols 120; exec ${[program, ...args].map(quoteForShell).join(' ')}`;
  const { code, stdout } = await runProgram('script', ['-qec', command, '/dev/null'], {
    // `script` would type the end of its input: the program would see somebody end what nobody began to type.
    inputStaysOpen: true,
    ...options,
    env: { TERM: 'xterm-256color', ...options.env },
  });
  return {
    code,
    raw: stdout,
    text: stdout.replace(/\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|.)/g, '').replaceAll('\r', ''),
  };
}
