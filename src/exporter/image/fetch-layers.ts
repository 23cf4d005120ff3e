import { mapLimit } from '../../base/async/lifetime.ts';
import type { BlobReader } from '../../content/content.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { ExportContext } from '../exporter.ts';
import type { WrittenImage } from './image-writer.ts';

const layersAtOnce = 8;

/** Brings the layers that are still elsewhere into the content store. */
export async function fetchLayers(
  image: WrittenImage,
  layerExport: LayerExport,
  { signal, progress }: ExportContext,
): Promise<void> {
  await mapLimit(
    image.platforms.flatMap(({ layers }) => layers),
    layersAtOnce,
    (blob, _index, each) => layerExport.ensureBlob(blob, { signal: each, progress }),
    signal,
  );
}

/** Whether all layers of an image are in the content store. */
export async function layersAreHere(image: WrittenImage, content: BlobReader): Promise<boolean> {
  for (const { descriptor } of image.platforms.flatMap(({ layers }) => layers)) {
    if (!(await content.stat(descriptor.digest))) return false;
  }
  return true;
}
