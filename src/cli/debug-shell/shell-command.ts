import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { repeatable } from '../repeatable-option.ts';
import type { ShellFlags } from './shell-flags.ts';

/** Adds `kiln debug shell`. */
export function addShellCommand(debug: Command, run: () => CommandContext): void {
  debug
    .command('shell')
    .description('open a shell in a step of a build that has failed')
    .argument(
      '[build[:step]]',
      'the ref of the build or its beginning, and the number or digest of a step (default: the step that failed the last failed build)',
    )
    .addOption(
      repeatable('--secret <id=name,src=file>', 'secret that the step has, as with build (repeatable)'),
    )
    .addOption(repeatable('--ssh <id[=socket|key,…]>', 'SSH agent or keys that the step has (repeatable)'))
    .option('--bring-shell', "use the machine's busybox, also if the step has a shell")
    .option('--list', 'show the failed steps that there are instead')
    .option('--format <format>', 'json, with --list')
    .action(async (place: string | undefined, flags: ShellFlags) => {
      const { shell } = await import('./shell.ts');
      await shell(place ?? '', flags, run());
    });
}
