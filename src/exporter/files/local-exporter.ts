import { KilnError } from '../../base/errors.ts';
import { reportTransfer } from '../../base/report-transfer.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { ClientOutput } from '../../file-sync/client-output.ts';
import { type ExporterType, isMultiPlatform } from '../exporter.ts';
import { parseFileOptions } from './file-options.ts';
import type { NamedTree, Overlap } from './find-overlap.task.ts';
import { mountTrees, type ResultTree, refuseSameDirectory } from './output-trees.ts';

export interface LocalExporterServices {
  readonly output: ClientOutput;
  readonly pool: ThreadPool;
}

/** `type=local`: the files copied into a directory of the client. */
export function createLocalExporter({ output, pool }: LocalExporterServices): ExporterType {
  return {
    type: 'local',
    open(attributes) {
      const options = parseFileOptions(attributes);
      const { deleteOthers } = options;
      return {
        name: 'exporting to client directory',
        async export(input, context) {
          const split = options.split ?? isMultiPlatform(input);
          await using mounted = await mountTrees(input, { ...options, split }, pool, context);
          const { sessionId, index, signal } = context;
          // A platform that was asked for twice is the same files.
          const trees = split
            ? [...new Map(mounted.trees.map((tree) => [tree.name, tree])).values()]
            : mounted.trees;
          if (split) refuseSameDirectory(trees);
          else await refuseOverlap(trees, pool, signal);
          const line = { id: 'copying files', name: 'transferring', current: 0 };
          const transfer = reportTransfer(line, context.progress);
          try {
            await output.sendTrees({ sessionId, index }, trees, {
              signal,
              deleteOthers,
              onProgress: transfer.reach,
            });
          } finally {
            transfer.complete();
          }
          return {};
        },
      };
    },
  };
}

/** Throws when platforms that go into one directory have a file in common, of which only one could be there. */
async function refuseOverlap(
  trees: readonly ResultTree[],
  pool: ThreadPool,
  signal: AbortSignal,
): Promise<void> {
  const named = trees.map(({ name, path, added = [] }) => ({
    name,
    path,
    added: added.map((file) => file.name),
  }));
  if (named.length < 2) return;
  const overlap = await pool.run<readonly NamedTree[], Overlap | undefined>(
    new URL('./find-overlap.task.ts', import.meta.url),
    named,
    { signal },
  );
  if (!overlap) return;
  const { file, first, second } = overlap;
  throw new KilnError(
    'invalid_argument',
    `cannot overwrite ${file} from ${first} with ${second} when split option is disabled`,
    { hint: 'leave out platform-split=false, which gives each platform a directory of its own' },
  );
}
