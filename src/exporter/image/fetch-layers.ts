import { mapLimit } from '../../base/async/lifetime.ts';
import type { ExportContext } from '../exporter.ts';
import type { LayerSource, WrittenImage } from './image-writer.ts';

const layersAtOnce = 8;

/** Brings the layers that are still elsewhere into the content store. */
export async function fetchLayers(
  image: WrittenImage,
  refStore: LayerSource,
  { signal, progress }: ExportContext,
): Promise<void> {
  const layers = image.platforms.flatMap(({ ref, layers: blobs }) =>
    ref ? blobs.map((blob) => ({ ref, blob })) : [],
  );
  await mapLimit(
    layers,
    layersAtOnce,
    ({ ref, blob }, _index, each) => refStore.ensureBlob(ref, blob, { signal: each, progress }),
    signal,
  );
}
