import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';

const cacheArgument = 'the cache, as for --export-cache: type=registry,ref=…';

/** Adds the commands for cache mounts. `run` gives what a command works with. */
export function addCacheMountCommands(program: Command, run: () => CommandContext): void {
  const mounts = program
    .command('cache-mount')
    .description('list cache mounts, and bring them to other machines');
  mounts
    .command('ls')
    .description('list the cache mounts')
    .option('--format <format>', 'json')
    .action(async (flags) => {
      const { listCacheMounts } = await import('./list-cache-mounts.ts');
      await listCacheMounts(flags, run());
    });
  mounts
    .command('export')
    .description('bring cache mounts to the place beside a cache; only what has changed is sent')
    .argument('<cache>', cacheArgument)
    .argument('[id...]', 'the mounts (default: all)')
    .action(async (cache: string, ids: string[]) => {
      const { exportMounts } = await import('./transfer-cache-mounts.ts');
      await exportMounts(cache, ids, run());
    });
  mounts
    .command('import')
    .description('bring cache mounts from there; those that were used here later stay as they are')
    .argument('<cache>', 'the cache, as for --import-cache: type=registry,ref=…')
    .argument('[id...]', 'the mounts (default: all)')
    .action(async (cache: string, ids: string[]) => {
      const { importMounts } = await import('./transfer-cache-mounts.ts');
      await importMounts(cache, ids, run());
    });
  mounts
    .command('rm')
    .description('have the next step begin with an empty mount')
    .argument('<id...>', 'the mounts')
    .action(async (ids: string[]) => {
      const { removeCacheMounts } = await import('./remove-cache-mounts.ts');
      await removeCacheMounts(ids, run());
    });
}
