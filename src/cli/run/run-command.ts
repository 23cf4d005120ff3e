import { type Command, Option } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { repeatable } from '../repeatable-option.ts';
import type { RunFlags } from './run-flags.ts';

/** Adds `kiln run`. What follows the image is the process's: `splitRunArguments` sees to that. */
export function addRunCommand(program: Command, run: () => CommandContext): void {
  program
    .command('run')
    .description('run a process on an image, in a container that leaves nothing')
    .argument('<image>', 'a kept image, or one of a registry')
    .argument('[command...]', "the process and its arguments (default: the image's)")
    .option('-i, --interactive', 'give it standard input, also when that is no terminal')
    .option('-t, --tty', 'give it a terminal (default: when standard input and output are one)')
    .addOption(repeatable('-e, --env <name=value>', 'variable; without a value, that of here (repeatable)'))
    .addOption(repeatable('--env-file <file>', 'file with variables, one a line (repeatable)'))
    .addOption(
      repeatable('-v, --volume <dir:place[:ro]>', "directory or file of the engine's machine (repeatable)"),
    )
    .addOption(
      repeatable('--mount <mount>', 'type=bind,src=…,dst=…[,readonly] or type=tmpfs,dst=… (repeatable)'),
    )
    .addOption(repeatable('--tmpfs <place>', 'a file system in memory (repeatable)'))
    .option('-w, --workdir <dir>', 'where it begins')
    .option('-u, --user <user[:group]>', 'as whom it runs, by name or number')
    .option('--entrypoint <program>', "instead of the image's; none if empty")
    .option('-h, --hostname <name>', 'of its machine')
    .addOption(
      new Option('--network <mode>', "host: the machine's, so its ports are the machine's; or none")
        .choices(['host', 'none'])
        .default('host'),
    )
    .option('--read-only', 'it cannot write to its tree')
    .option('--platform <platform>', 'which of the platforms of the image')
    .option('--pull', 'ask the registry for a newer image')
    .addOption(new Option('--rm', 'always so: nothing is left').hideHelp())
    .option('-q, --quiet', 'show nothing while the image is pulled')
    .helpOption('--help', 'print help')
    .action(async (image: string, command: string[], flags: RunFlags) => {
      const { run: start } = await import('./run.ts');
      await start(image, command, flags, run());
    });
}
