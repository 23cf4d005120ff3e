import type { Digest } from '../../base/digest.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { ContentStore } from '../../content/content.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import type { ExportContext } from '../exporter.ts';
import type { SbomLayers } from './supplement-sbom.task.ts';

export interface SbomServices {
  readonly content: ContentStore;
  readonly layerExport: LayerExport;
  /** Reads and supplements attestations. */
  readonly pool: ThreadPool;
  /** Names this program in documents that it changes: `kiln-0.1.0`. */
  readonly tool: string;
}

/** Returns the SBOM of an image with the layer that each of its files came with. Fetches layers that are elsewhere. */
export async function supplementSbom(
  predicate: Uint8Array,
  layers: readonly LayerBlob[],
  { layerExport, content, pool, tool }: SbomServices,
  context: ExportContext,
): Promise<Uint8Array> {
  const files: { digest: Digest; file: string }[] = [];
  for (const layer of layers) {
    const { digest } = layer.descriptor;
    await layerExport.ensureBlob(layer, context);
    const file = content.localPath(digest);
    if (file !== undefined) files.push({ digest, file });
  }
  return await pool.run<SbomLayers, Uint8Array>(
    new URL('./supplement-sbom.task.ts', import.meta.url),
    { predicate, layers: files, tool },
    { signal: context.signal },
  );
}
