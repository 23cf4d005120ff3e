import { closeSync, constants, createReadStream, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { addAbortSignal, type Readable } from 'node:stream';

/**
 * What a file, a pipe or a device gives, but `limit` bytes at most. A pipe is waited for without a thread: one would keep the
 * process from ending for as long as nobody writes.
 */
export async function readBounded(
  path: string,
  limit: number,
  signal?: AbortSignal,
): Promise<Buffer<ArrayBuffer>> {
  const stream = openForReading(path);
  if (signal) addAbortSignal(signal, stream);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= limit) break;
  }
  return Buffer.concat(chunks).subarray(0, limit);
}

function openForReading(path: string): Readable {
  // A pipe is opened at once, whether somebody writes to it or not; to files it makes no difference.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return fstatSync(fd).isFIFO()
      ? new Socket({ fd, readable: true, writable: false })
      : createReadStream('', { fd });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
