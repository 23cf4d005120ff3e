import { KilnError } from '../../base/errors.ts';
import { formatPlatform } from '../../base/platform.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { OutputTree } from '../../file-sync/client-output.ts';
import { type EpochOption, epochFor } from '../epoch.ts';
import type { ExportContext, ExportInput } from '../exporter.ts';
import { attestationFiles } from './attestation-files.ts';

/** One result's files. */
export interface ResultTree extends OutputTree {
  /** Its platform's. */
  readonly name: string;
}

/** The results' files, readable until disposed. */
export interface MountedTrees extends AsyncDisposable {
  readonly trees: readonly ResultTree[];
}

/** Throws when the files of two results would be in the same directory, where one would hide the other. */
export function refuseSameDirectory(trees: readonly ResultTree[]): void {
  const seen = new Set<string>();
  for (const { prefix, name } of trees) {
    if (prefix !== '' && seen.has(prefix)) {
      throw new KilnError('unknown', `duplicate path ${prefix}: file exists`, {
        hint: `give the platform ${name} once`,
      });
    }
    seen.add(prefix);
  }
}

export interface TreeOptions {
  readonly epoch: EpochOption;
  /** Put each result's files into a directory of its own, `linux_arm64`. */
  readonly split: boolean;
  readonly attestationPrefix: string;
}

/** Makes every result's files visible, and what is attested about them beside them. */
export async function mountTrees(
  input: ExportInput,
  options: TreeOptions,
  pool: ThreadPool,
  context: ExportContext,
): Promise<MountedTrees> {
  const mounted = new AsyncDisposableStack();
  try {
    const trees: ResultTree[] = [];
    for (const result of input.results) {
      const { key, platform, ref } = result;
      const name = key === '' ? formatPlatform(platform) : key;
      const view = ref && mounted.use(await ref.mount(context));
      const epoch = epochFor(options.epoch, input.metadata, name);
      const files = {
        root: view?.path,
        prefix: options.attestationPrefix,
        platform: key !== '' && !options.split ? name : undefined,
        epoch,
      };
      trees.push({
        name,
        prefix: options.split ? name.replaceAll('/', '_') : '',
        path: view?.path,
        epoch,
        added: await attestationFiles(result, files, pool, context),
      });
    }
    return { trees, [Symbol.asyncDispose]: () => mounted.disposeAsync() };
  } catch (error) {
    await mounted.disposeAsync();
    throw error;
  }
}
