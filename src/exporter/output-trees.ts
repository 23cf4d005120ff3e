import { formatPlatform } from '../base/platform.ts';
import type { OutputTree } from './client-output.ts';
import { type EpochOption, epochFor } from './epoch.ts';
import type { ExportContext, ExportInput } from './exporter.ts';

/** The results' files, readable until disposed. */
export interface MountedTrees extends AsyncDisposable {
  readonly trees: readonly OutputTree[];
}

/** Makes every result's files visible; `split` puts each into a directory of its own, `linux_arm64`. */
export async function mountTrees(
  input: ExportInput,
  options: { readonly epoch: EpochOption; readonly split: boolean },
  { signal, progress }: ExportContext,
): Promise<MountedTrees> {
  const mounted = new AsyncDisposableStack();
  try {
    const trees: OutputTree[] = [];
    for (const { key, platform, ref } of input.results) {
      const name = key === '' ? formatPlatform(platform) : key;
      const view = ref && mounted.use(await ref.mount({ signal, progress }));
      trees.push({
        name,
        prefix: options.split ? name.replaceAll('/', '_') : '',
        path: view?.path,
        epoch: epochFor(options.epoch, input.metadata, name),
      });
    }
    return { trees, [Symbol.asyncDispose]: () => mounted.disposeAsync() };
  } catch (error) {
    await mounted.disposeAsync();
    throw error;
  }
}
