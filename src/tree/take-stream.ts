import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Bytes that may wait to be written. */
const waitingBytes = 1024 * 1024;

/**
 * Gives all of `source` to `append`, one call at a time. Rejects with what the source or `append` says, or the reason of the signal; no call of
 * `append` runs any more then.
 */
export async function takeStream(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  append: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  /** What is written to must not be closed, and then be another file, while something is written to it. */
  let pending: Promise<void> = Promise.resolve();
  const put = (bytes: Uint8Array, done: (error?: Error | null) => void) => {
    pending = append(bytes);
    pending.then(() => done(), done);
  };
  const target = new Writable({
    highWaterMark: waitingBytes,
    write: (chunk: Uint8Array, _encoding, done) => put(chunk, done),
    writev: (chunks, done) => put(Buffer.concat(chunks.map(({ chunk }) => chunk as Uint8Array)), done),
  });
  try {
    await pipeline(abandonable(source), target, { signal });
  } finally {
    await pending.catch(() => {});
  }
}

/** A stream of the bytes of `source`. It can be destroyed while it waits for some; one by `Readable.from` would wait until they come. */
function abandonable(source: AsyncIterable<Uint8Array>): Readable {
  const iterator = source[Symbol.asyncIterator]();
  return new Readable({
    read() {
      iterator.next().then(
        ({ done, value }) => this.push(done ? null : value),
        (error) => this.destroy(error),
      );
    },
    destroy(error, destroyed) {
      iterator.return?.().catch(() => {});
      destroyed(error);
    },
  });
}
