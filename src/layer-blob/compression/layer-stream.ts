import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { decompressGzip } from './gzip-stream.ts';
import { decompressZstd } from './zstd-stream.ts';

const chunkSize = 1 << 18;

/**
 * The tar in a layer blob, decompressed as its first bytes say (media types are known to lie): gzip with any number of
 * members, zstd with any number of frames, or plain. Decompression runs in the thread pool of libuv, beside the
 * thread that reads. What follows the compressed data is left out. Throws `data_loss`, which says `name`, when the blob is damaged.
 */
export async function* readLayerTar(path: string, name = `layer blob ${path}`): AsyncGenerator<Uint8Array> {
  const source = createReadStream(path, { highWaterMark: chunkSize });
  try {
    switch (sniff(path)) {
      case 'gzip':
        yield* decompressGzip(source);
        return;
      case 'zstd':
        yield* decompressZstd(source);
        return;
      case 'plain':
        yield* source;
        return;
    }
  } catch (error) {
    if (error instanceof KilnError || errnoOf(error)) throw asKilnError(error);
    const message = error instanceof Error ? error.message : String(error);
    throw new KilnError('data_loss', `${name} cannot be decompressed: ${message}`, {
      cause: error,
    });
  } finally {
    source.destroy();
  }
}

function sniff(path: string): 'gzip' | 'zstd' | 'plain' {
  const head = Buffer.alloc(4);
  const file = openSync(path, 'r');
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  if (head.readUInt16BE(0) === 0x1f8b) return 'gzip';
  const magic = head.readUInt32LE(0);
  // A zstd frame, or one of the frames to be skipped that some tools put first (RFC 8878, 3.1).
  if (magic === 0xfd2fb528 || magic >>> 4 === 0x0184d2a5) return 'zstd';
  return 'plain';
}
