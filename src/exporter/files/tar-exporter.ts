import { withStatus } from '../../base/progress.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { ClientOutput } from '../../file-sync/client-output.ts';
import { type ExporterType, isMultiPlatform } from '../exporter.ts';
import { sendFile } from '../send-file.ts';
import { parseFileOptions } from './file-options.ts';
import { mountTrees, refuseSameDirectory } from './output-trees.ts';
import { treeTar } from './tree-tar.ts';

export interface TarExporterServices {
  readonly output: ClientOutput;
  readonly pool: ThreadPool;
}

/** `type=tar`: the files as one tarball, those of several platforms in a directory each. */
export function createTarExporter({ output, pool }: TarExporterServices): ExporterType {
  return {
    type: 'tar',
    open(attributes) {
      const options = parseFileOptions(attributes);
      return {
        name: 'exporting to client tarball',
        async export(input, context) {
          await using mounted = await mountTrees(
            input,
            { ...options, split: isMultiPlatform(input) },
            pool,
            context,
          );
          refuseSameDirectory(mounted.trees);
          await withStatus(context.progress, 'sending tarball', () =>
            sendFile(treeTar(mounted.trees, pool, context.signal), {}, output, context),
          );
          return {};
        },
      };
    },
  };
}
