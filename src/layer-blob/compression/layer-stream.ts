import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { decompressGzip } from './gzip-stream.ts';
import { decompressZstd } from './zstd-stream.ts';

const chunkSize = 1 << 18;

/**
 * The tar in a layer blob, decompressed as its first bytes say (media types are known to lie): gzip with any number of
 * members, zstd with any number of frames, or plain. What is yielded is valid until the next piece is asked for. What follows the compressed data
 * is left out. Blocks the thread. Throws `data_loss`, which says `name`, when the blob is damaged.
 */
export async function* readLayerTar(path: string, name = `layer blob ${path}`): AsyncGenerator<Uint8Array> {
  const file = openSync(path, 'r');
  try {
    switch (sniff(file)) {
      case 'gzip':
        yield* decompressGzip((buffer) => readSync(file, buffer));
        return;
      case 'zstd':
        yield* decompressZstd(createReadStream(path, { highWaterMark: chunkSize }));
        return;
      case 'plain':
        yield* plainChunks(file);
        return;
    }
  } catch (error) {
    if (error instanceof KilnError || errnoOf(error)) throw asKilnError(error);
    const message = error instanceof Error ? error.message : String(error);
    throw new KilnError('data_loss', `${name} cannot be decompressed: ${message}`, {
      cause: error,
    });
  } finally {
    closeSync(file);
  }
}

function* plainChunks(file: number): Generator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(chunkSize);
  for (;;) {
    const read = readSync(file, buffer);
    if (read === 0) return;
    yield buffer.subarray(0, read);
  }
}

/** Does not move the file's position. */
function sniff(file: number): 'gzip' | 'zstd' | 'plain' {
  const head = Buffer.alloc(4);
  readSync(file, head, 0, head.length, 0);
  if (head.readUInt16BE(0) === 0x1f8b) return 'gzip';
  const magic = head.readUInt32LE(0);
  // A zstd frame, or one of the frames to be skipped that some tools put first (RFC 8878, 3.1).
  if (magic === 0xfd2fb528 || magic >>> 4 === 0x0184d2a5) return 'zstd';
  return 'plain';
}
