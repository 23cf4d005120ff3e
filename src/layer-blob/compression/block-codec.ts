import { constants, crc32, deflateRawSync, zstdCompressSync } from 'node:zlib';
import { KilnError } from '../../base/errors.ts';
import type { Compression } from '../../oci/descriptor.ts';
import { compressionLevels } from './compression-levels.ts';

/**
 * How a stream is compressed in blocks, independently of each other, so that threads can share the work and the bytes
 * do not depend on how many there are.
 *
 * gzip: one member (RFC 1952) whose deflate blocks end on bytes. Each block may refer to the 32 KiB before it (the
 * `dictionary`), so little is lost against a single stream. Blocks that do not shrink are stored.
 * zstd: one frame (RFC 8878) per block.
 */
export interface BlockFormat {
  readonly compression: Exclude<Compression, 'uncompressed'>;
  readonly level: number;
  /** Bytes of input per block. */
  readonly blockSize: number;
  /** Bytes of input before a block that its compression may refer to. */
  readonly dictionarySize: number;
  /** The most bytes that a block can become. */
  readonly outputSize: number;
}

const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
/** The most that one stored deflate block holds (RFC 1951, 3.2.4), and what it takes besides. Bytes. */
const storedSize = 65_535;
const storedOverhead = 5;

/** `level` is the format's own (gzip 0 to 9, zstd 1 to 22). Throws `invalid_argument`. */
export function blockFormat(compression: BlockFormat['compression'], level: number | undefined): BlockFormat {
  const { lowest, highest, usual } = compressionLevels[compression];
  const chosen = level ?? usual;
  if (!Number.isInteger(chosen) || chosen < lowest || chosen > highest) {
    throw new KilnError(
      'invalid_argument',
      `compression level ${chosen} is not one of ${compression}'s: ${lowest} to ${highest}`,
    );
  }
  switch (compression) {
    case 'gzip': {
      const blockSize = 1 << 19;
      const outputSize = blockSize + Math.ceil(blockSize / storedSize) * storedOverhead;
      return { compression, level: chosen, blockSize, dictionarySize: 1 << 15, outputSize };
    }
    case 'zstd': {
      const blockSize = 1 << 21;
      // ZSTD_COMPRESSBOUND for blocks over 128 KiB.
      return {
        compression,
        level: chosen,
        blockSize,
        dictionarySize: 0,
        outputSize: blockSize + (blockSize >> 8),
      };
    }
  }
}

/** Compresses one block into `output` and returns its compressed size in bytes. */
export function compressBlock(
  format: BlockFormat,
  block: Uint8Array,
  dictionary: Uint8Array,
  output: Uint8Array,
): number {
  switch (format.compression) {
    case 'gzip': {
      if (format.level === 0 || looksIncompressible(block)) return store(block, output);
      const deflated = deflateRawSync(block, {
        level: format.level,
        finishFlush: constants.Z_SYNC_FLUSH,
        chunkSize: format.outputSize,
        ...(dictionary.length > 0 ? { dictionary } : {}),
      });
      if (deflated.length >= block.length) return store(block, output);
      output.set(deflated);
      return deflated.length;
    }
    case 'zstd': {
      const compressed = zstdCompressSync(block, {
        params: { [constants.ZSTD_c_compressionLevel]: format.level },
        chunkSize: format.outputSize,
      });
      output.set(compressed);
      return compressed.length;
    }
  }
}

/** What comes before the first block. */
export function streamHeader(format: BlockFormat): Uint8Array {
  return format.compression === 'gzip' ? gzipHeader : new Uint8Array();
}

/** What comes after the last block. `checksum` and `size` are of the whole input, as `InputTrailer` keeps them. */
export function streamTrailer(format: BlockFormat, input: InputTrailer): Uint8Array {
  if (format.compression === 'zstd') return new Uint8Array();
  const trailer = Buffer.alloc(10);
  // An empty last deflate block.
  trailer.writeUInt16LE(0x0003, 0);
  trailer.writeUInt32LE(input.checksum, 2);
  trailer.writeUInt32LE(input.size % 2 ** 32, 6);
  return trailer;
}

/** What a stream's trailer says of its input, taken as the input goes by. */
export class InputTrailer {
  checksum = 0;
  size = 0;

  update(block: Uint8Array): void {
    this.checksum = crc32(block, this.checksum);
    this.size += block.length;
  }
}

function store(block: Uint8Array, output: Uint8Array): number {
  let at = 0;
  for (let from = 0; from < block.length; from += storedSize) {
    const part = block.subarray(from, from + storedSize);
    output[at] = 0;
    output[at + 1] = part.length & 0xff;
    output[at + 2] = part.length >> 8;
    output[at + 3] = ~part.length & 0xff;
    output[at + 4] = (~part.length >> 8) & 0xff;
    output.set(part, at + storedOverhead);
    at += storedOverhead + part.length;
  }
  return at;
}

const sampleCount = 8;
const sampleSize = 2048;

/**
 * Judges a block by samples spread over it: bytes of (nearly) equal frequency that a quick compression does not shrink.
 * Costs a thousandth of compressing the block.
 */
function looksIncompressible(block: Uint8Array): boolean {
  if (block.length < sampleCount * sampleSize) return false;
  const sample = Buffer.allocUnsafe(sampleCount * sampleSize);
  const step = Math.floor((block.length - sampleSize) / (sampleCount - 1));
  for (let index = 0; index < sampleCount; index++) {
    sample.set(block.subarray(index * step, index * step + sampleSize), index * sampleSize);
  }
  if (entropy(sample) < 7.9) return false;
  return deflateRawSync(sample, { level: 1 }).length > sample.length * 0.99;
}

/** Bits per byte. */
function entropy(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (const byte of bytes) counts[byte]!++;
  let sum = 0;
  for (const count of counts) if (count > 0) sum += count * Math.log2(count);
  return Math.log2(bytes.length) - sum / bytes.length;
}
