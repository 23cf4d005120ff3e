import { type Command, Option } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { progressModes } from '../progress/display.ts';

const nameArgument = 'its name, or sha256:… of its manifest, index or config';

/** Adds the commands for images that the engine keeps. `run` gives what a command works with. */
export function addImageCommands(program: Command, run: () => CommandContext): void {
  program
    .command('images')
    .description('list the images that are kept by name')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { listImages } = await import('./list-images.ts');
      await listImages(flags, run());
    });
  program
    .command('inspect')
    .description('show what is known of an image: platforms, layers, attestations, config')
    .argument('<image>', nameArgument)
    .option('--format <format>', 'json')
    .action(async (name: string, flags) => {
      const { inspectImage } = await import('./inspect-image.ts');
      await inspectImage(name, flags, run());
    });
  program
    .command('rmi')
    .description('take names away, and with the last name of an image what nothing else needs')
    .argument('<image...>', nameArgument)
    .action(async (names: string[]) => {
      const { removeImages } = await import('./remove-images.ts');
      await removeImages(names, run());
    });
  program
    .command('tag')
    .description('give an image another name')
    .argument('<image>', nameArgument)
    .argument('<name>', 'the other name')
    .action(async (name: string, newName: string) => {
      const { tagImage } = await import('./tag-image.ts');
      await tagImage(name, newName, run());
    });
  program
    .command('push')
    .description('push an image to the registry that its name says')
    .argument('<image>', nameArgument)
    .option('--insecure', "do not verify the registry's certificate, and use plain HTTP if it has none")
    .addOption(progressOption())
    .option('-q, --quiet', 'show nothing')
    .action(async (name: string, flags) => {
      const { push } = await import('./push.ts');
      await push(name, flags, run());
    });
  program
    .command('save')
    .description('write images to an archive')
    .argument('<image...>', nameArgument)
    .option('-o, --output <file>', 'the archive (default: standard output)')
    .addOption(
      new Option(
        '--format <format>',
        'docker: for docker load, one platform; oci: all platforms, attestations',
      )
        .choices(['docker', 'oci'])
        .default('docker'),
    )
    .option('--platform <platform>', "the platform of a docker archive (default: the engine's own)")
    .action(async (names: string[], flags) => {
      const { saveImages } = await import('./save.ts');
      await saveImages(names, flags, run());
    });
}

export function progressOption(): Option {
  return new Option('--progress <mode>', 'how progress is shown on standard error')
    .choices(progressModes)
    .default('auto');
}
