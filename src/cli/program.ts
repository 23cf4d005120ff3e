import { Command, Help, Option } from 'commander';
import { version } from '../base/version.ts';
import { buildCommand } from './build-command.ts';
import { addCacheMountCommands } from './cache-mounts/cache-mount-commands.ts';
import type { CommandContext } from './command-context.ts';
import { addShellCommand } from './debug-shell/shell-command.ts';
import { addImageCommands } from './images/image-commands.ts';
import type { BuildFlags } from './options/build-flags.ts';
import { chooseEngine, type GlobalFlags } from './options/global-options.ts';
import { parseCall } from './options/values/parse-call.ts';
import { repeatable } from './repeatable-option.ts';
import { addRunCommand } from './run/run-command.ts';
import { verifyCommand } from './verify/verify-command.ts';

/** What the process gives every command. */
export type ProcessContext = Omit<CommandContext, 'engine' | 'debug'>;

/** The command line. Commands load what they need when they run, so that help and errors come at once. */
export function createProgram(context: ProcessContext): Command {
  const program = new Command('kiln')
    .description('Builds container images and files from Dockerfiles and LLB.')
    .version(`kiln ${version}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .option(
      '--addr <address>',
      'daemon to use, unix://… or tcp://… (default: $KILN_HOST, $BUILDKIT_HOST, else none: build in this process)',
    )
    .option(
      '--root <dir>',
      'where a build in this process keeps its state (default: $KILN_ROOT, else /var/lib/kiln)',
    )
    .option('--config <file>', 'configuration of a build in this process, as for kilnd')
    .option('--debug', 'say more when something goes wrong')
    .option('--timeout <seconds>', 'how long connecting to the daemon may take', '5')
    .option('--wait', 'wait until the daemon answers')
    .option('--tlsservername <name>', "name the daemon's certificate must be for")
    .option('--tlscacert <file>', "CA of the daemon's certificate")
    .option('--tlscert <file>', 'client certificate')
    .option('--tlskey <file>', 'key of the client certificate')
    .option('--tlsdir <dir>', 'directory with ca.pem, cert.pem and key.pem (or ca.crt, tls.crt, tls.key)')
    .addOption(new Option('--log-format <format>').choices(['text', 'json']).hideHelp())
    .configureHelp({ optionDescription })
    .showHelpAfterError("(run 'kiln --help' for the flags and commands)")
    .addHelpText('after', examples);

  const run = (): CommandContext => {
    const flags = program.opts<GlobalFlags>();
    return { ...context, engine: chooseEngine(flags, context.environment), debug: flags.debug ?? false };
  };

  program.addCommand(
    buildCommand()
      .copyInheritedSettings(program)
      .action(async (path: string | undefined, flags: BuildFlags) => {
        const question = parseCall(flags.check ? 'check' : flags.call);
        if (question) {
          const { call } = await import('./commands/call.ts');
          await call(question, flags, path, run());
        } else {
          const { build } = await import('./commands/build.ts');
          await build(flags, path, run());
        }
      }),
  );
  program.addCommand(
    verifyCommand()
      .copyInheritedSettings(program)
      .action(async (image: string, path: string | undefined, flags: BuildFlags) => {
        const { verify } = await import('./verify/verify.ts');
        await verify(image, path, flags, run());
      }),
  );
  program
    .command('du')
    .description('show what the build cache takes')
    .addOption(
      repeatable('-f, --filter <filter>', 'only matching records, for example type==regular (repeatable)'),
    )
    .option('-v, --verbose', 'everything that is known about each record')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { du } = await import('./commands/du.ts');
      await du(flags, run());
    });
  program
    .command('prune')
    .description('remove what no build uses from the build cache')
    .option('--keep-duration <duration>', 'keep what was used within this time, for example 72h')
    .option('--keep-storage <MB>', 'keep this much at most')
    .option('--keep-storage-min <MB>', 'keep this much in any case')
    .option('--free-storage <MB>', 'remove until this much of the disk is free')
    .addOption(repeatable('-f, --filter <filter>', 'only matching records (repeatable)'))
    .option('--all', "also the engine's and frontends' own records")
    .option('-v, --verbose', 'everything that is known about each record')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { prune } = await import('./commands/prune.ts');
      await prune(flags, run());
    });
  program
    .command('prune-histories')
    .description('forget past builds, except those that are pinned')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { pruneHistories } = await import('./commands/prune-histories.ts');
      await pruneHistories(flags, run());
    });

  addImageCommands(program, run);
  addRunCommand(program, run);
  addCacheMountCommands(program, run);

  const debug = program.command('debug').description('look inside');
  debug
    .command('workers')
    .description('list the workers and their platforms')
    .addOption(repeatable('-f, --filter <filter>', 'only matching workers (repeatable)'))
    .option('-v, --verbose', 'everything that is known about each worker')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { debugWorkers } = await import('./commands/debug-workers.ts');
      await debugWorkers(flags, run());
    });
  debug
    .command('info')
    .description("show the engine's version")
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { debugInfo } = await import('./commands/debug-info.ts');
      await debugInfo(flags, run());
    });
  debug
    .command('solver')
    .description('show what each unfinished step of the running builds waits for')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { debugSolver } = await import('./commands/debug-solver.ts');
      await debugSolver(flags, run());
    });
  debug
    .command('dump-llb')
    .description('show an LLB definition, one op a line; needs no engine')
    .argument('[file]', 'the definition; standard input by default')
    .option('--dot', 'as a graph in the language of dot')
    .action(async (file: string | undefined, flags) => {
      const { debugDumpLlb } = await import('./commands/debug-dump-llb.ts');
      await debugDumpLlb(flags, file, context);
    });
  addShellCommand(debug, run);
  program
    .command('dial-stdio', { hidden: true })
    .description('connect standard input and output with the daemon')
    .action(async () => {
      const { dialStdio } = await import('./commands/dial-stdio.ts');
      await dialStdio(run());
    });
  return program;
}

/** The default of a flag that can be repeated, an empty list, is not shown in the help. */
function optionDescription(this: Help, option: Option): string {
  return Array.isArray(option.defaultValue)
    ? option.description
    : Help.prototype.optionDescription.call(this, option);
}

const examples = `
Examples:
  kiln build -t registry.example/app:1 --push .
  kiln build -o out --target binaries .
  kiln build --frontend dockerfile.v0 --local context=. --local dockerfile=. --output type=oci,dest=image.tar
  kiln --addr unix:///run/kiln/kilnd.sock du
`;
