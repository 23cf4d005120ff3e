import { withStatus } from '../../base/progress.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { ClientOutput } from '../../file-sync/client-output.ts';
import { parseEpoch } from '../epoch.ts';
import { type ExporterType, isMultiPlatform } from '../exporter.ts';
import { sendFile } from '../send-file.ts';
import { parseAttestationPrefix } from './attestation-files.ts';
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
      const epoch = parseEpoch(attributes);
      const attestationPrefix = parseAttestationPrefix(attributes['attestation-prefix']);
      return {
        name: 'exporting to client tarball',
        async export(input, context) {
          await using mounted = await mountTrees(
            input,
            { epoch, split: isMultiPlatform(input), attestationPrefix },
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
