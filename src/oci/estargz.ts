import type { Compression, Descriptor } from './descriptor.ts';
import { layerCompression } from './media-type.ts';

/**
 * eStargz (stargz-snapshotter, docs/estargz.md): a gzip layer whose files are members of their own, with a table of contents (TOC) at
 * the end, so that a file can be read without the rest.
 */

/** The annotation of a layer that has the digest of its TOC. */
export const tocDigestAnnotation = 'containerd.io/snapshot/stargz/toc.digest';
/** The annotation that has the size of all its tar, in bytes. */
export const uncompressedSizeAnnotation = 'io.containers.estargz.uncompressed-size';

/** How a layer is written. */
export type LayerFormat = Compression | 'estargz';

/** The format of a layer, as its descriptor says. Throws `invalid_argument` for what is not a layer. */
export function layerFormat({ mediaType, annotations }: Descriptor): LayerFormat {
  const compression = layerCompression(mediaType);
  return compression === 'gzip' && annotations?.[tocDigestAnnotation] !== undefined ? 'estargz' : compression;
}
