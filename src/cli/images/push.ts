import { pushWithLogins } from '../../client/push-with-logins.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { createDisplay, parseProgressMode } from '../progress/create-display.ts';
import { showProgress } from '../show-progress.ts';

export interface PushFlags {
  readonly insecure?: boolean;
  readonly progress: string;
  readonly quiet?: boolean;
}

/** `kiln push`. */
export async function push(name: string, flags: PushFlags, context: CommandContext): Promise<void> {
  const { stderr, environment, signal } = context;
  const mode = flags.quiet ? 'quiet' : parseProgressMode(flags.progress);
  await using connection = await connect(context);
  using display = createDisplay(mode, stderr as Parameters<typeof createDisplay>[1], environment);
  await showProgress(
    pushWithLogins(connection, { name, insecure: flags.insecure ?? false }, signal),
    display,
  );
}
