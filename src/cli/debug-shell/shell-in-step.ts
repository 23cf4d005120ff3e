import { boundedText } from '../../api/bounded-text.ts';
import type { Connection } from '../../client/connection.ts';
import { debugShell, type ShellPlace, type ShellRequest } from '../../client/processes/debug-shell.ts';
import type { CommandContext } from '../command-context.ts';
import { printable } from '../printable.ts';
import { openRunTerminal } from '../run/run-terminal.ts';
import { talkAsUser } from '../run/talk-as-user.ts';

/** Bytes. */
const longestName = 200;

/** Runs a shell in a failed step, in the user's terminal if there is one. Returns its exit code. */
export async function shellInStep(
  connection: Connection,
  request: Omit<ShellRequest, 'terminal' | 'terminalType'>,
  context: CommandContext,
): Promise<number> {
  const { stderr, environment } = context;
  const terminal = openRunTerminal({ interactive: true }, context);
  return await talkAsUser(context, terminal, (user, signal) =>
    debugShell(
      connection,
      { ...request, terminal: terminal.size, terminalType: environment.TERM || 'xterm' },
      { ...user, opened: (place) => stderr.write(introduction(place)) },
      signal,
    ),
  );
}

/** What steps are called is up to those who wrote them. */
function introduction({ stepName, program, notes }: ShellPlace): string {
  const lines = [
    `${program} in the failed step ${boundedText(printable(stepName.replace(/\s+/g, ' ')), longestName)}`,
    ...notes.map((note) => `note: ${printable(note)}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
