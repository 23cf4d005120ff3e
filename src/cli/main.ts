import { CommanderError } from 'commander';
import { errnoOf } from '../base/errors.ts';
import { formatError } from './format-error.ts';
import { Interruption, interruptedExitCode } from './interruption.ts';
import { expandBooleanFlags } from './options/boolean-flags.ts';
import { createProgram } from './program.ts';
import { splitRunArguments } from './run/split-run-arguments.ts';

/** Runs the command line; the exit code is 0, 1 after an error, 130 when interrupted. */
async function main(): Promise<number> {
  // A reader that closes our output has seen enough: that is no reason to crash. Losing the display does not stop a build either.
  process.stdout.on('error', ignoreLostReader);
  process.stderr.on('error', ignoreLostReader);
  using interruption = new Interruption();
  const { signal, takeSignals } = interruption;
  const { stdin, stdout, stderr, env: environment } = process;
  const program = createProgram({ stdin, stdout, stderr, environment, signal, takeSignals }).exitOverride();
  for (const command of program.commands) command.exitOverride();
  try {
    const args = expandBooleanFlags(splitRunArguments(process.argv.slice(2), program), program);
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (signal.aborted) {
      stderr.write('canceled\n');
      return interruptedExitCode;
    }
    stderr.write(formatError(error, { debug: program.opts().debug === true }));
    return 1;
  }
}

/** A pipe that was closed, or a terminal. */
function ignoreLostReader(error: Error): void {
  if (errnoOf(error) !== 'EPIPE' && errnoOf(error) !== 'EIO') throw error;
}

process.exitCode = await main();
