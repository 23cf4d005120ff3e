import { CommanderError } from 'commander';
import { KilnError } from '../../base/errors.ts';
import type { Connection } from '../../client/connection.ts';
import { failedBuilds, type ShellRequest } from '../../client/processes/debug-shell.ts';
import type { CommandContext } from '../command-context.ts';
import { formatError } from '../format-error.ts';
import { shellInStep } from './shell-in-step.ts';

/** The shell that `kiln build --debug-shell` opens when the build fails. */
export class FailureShell {
  readonly #context: CommandContext;

  /** Throws `failed_precondition` without a terminal. */
  constructor(context: CommandContext) {
    const { stdin, stdout } = context;
    if (stdin.isTTY !== true || stdout.isTTY !== true) {
      const name = stdin.isTTY === true ? 'output' : 'input';
      throw new KilnError(
        'failed_precondition',
        `--debug-shell needs a terminal, and standard ${name} is none`,
        {
          hint: 'build without it; kiln debug shell opens a shell in the failed step afterwards',
        },
      );
    }
    this.#context = context;
  }

  /** Throws `unimplemented` when the engine has no shells. */
  async check(connection: Connection): Promise<void> {
    await failedBuilds(connection, this.#context.signal);
  }

  /** Says why the build failed, and gives the user a shell. Throws what ends the command: a build that failed has failed, whatever the shell says. */
  async open(
    connection: Connection,
    { ref, secrets, ssh }: Pick<ShellRequest, 'secrets' | 'ssh'> & { readonly ref: string },
    failure: unknown,
  ): Promise<never> {
    const { stderr, debug, signal } = this.#context;
    stderr.write(formatError(failure, { debug }));
    const builds = await failedBuilds(connection, signal);
    if (builds.some((build) => build.ref === ref)) {
      const request = { build: ref, step: '', secrets, ssh, bringTools: false };
      await shellInStep(connection, request, this.#context).catch((error) => {
        stderr.write(formatError(error, { debug }));
      });
    } else stderr.write('no step has failed that a shell could be opened in\n');
    throw new CommanderError(1, 'kiln.build', 'the build has failed');
  }
}
