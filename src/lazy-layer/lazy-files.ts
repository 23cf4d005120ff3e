import type { Digest } from '../base/digest.ts';

/** A part of a file, which is fetched and verified as a whole. */
export interface LazyChunk {
  /** Its place among all chunks of the layer. */
  readonly index: number;
  /** Where it begins in its file. */
  readonly offset: number;
  readonly size: number;
  readonly digest: Digest;
  /** Where the gzip member that holds it begins in the blob. */
  readonly memberOffset: number;
  /** At most so many bytes of the blob hold that member. */
  readonly memberSize: number;
  /** Where it begins in what the member holds. */
  readonly inner: number;
  /** Where it is kept in the file of the layer's data. */
  readonly position: number;
}

/** A file that is not empty. */
export interface LazyFile {
  readonly size: number;
  /** In order, without gaps. */
  readonly chunks: readonly LazyChunk[];
}

/**
 * The attribute by which a file in the skeleton of a layer says which of the layer's files it is, as decimal digits. Nobody sees it through the
 * mount, and no layer can bring it.
 */
export const lazyFileAttribute = 'trusted.kiln.lazy-file';

/** What is in the directory of a layer that is fetched lazily. */
export const lazyNames = {
  /** The layer's tree, with holes in place of what files hold. */
  skeleton: 'skeleton',
  /** `LazyFile`s as JSON, by the numbers in `lazyFileAttribute`. */
  files: 'files.json',
  /** Chunks that have come, each at its position. */
  data: 'data',
  /** A byte for each chunk of the layer: 1 once it is in the data, otherwise 0. */
  present: 'present',
  /** When the two were written: the machine's boot id, or that they are on the disk for certain. */
  boot: 'boot',
} as const;

/** The chunks that hold these bytes of a file. */
export function chunksOf({ chunks }: LazyFile, offset: number, size: number): readonly LazyChunk[] {
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { offset: start, size: length } = chunks[middle]!;
    if (start + length <= offset) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < chunks.length && chunks[end]!.offset < offset + size) end++;
  return chunks.slice(low, end);
}
