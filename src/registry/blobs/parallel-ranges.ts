/** Bytes of a part. */
const partSize = 4 * 1024 * 1024;

export interface RangeReader {
  /** Reads a part of the blob, whole. */
  read(range: { readonly offset: number; readonly length: number }, signal: AbortSignal): Promise<Uint8Array>;
  /** A permit to read one more part at the same time; undefined when there is none. */
  permit(): Disposable | undefined;
  /** How many parts at a time at most, each of which is in memory. */
  readonly atOnce: number;
}

/** Reads a blob from `from` to `end` in parts, several at a time, and yields these in their order. */
export async function* readInParts(
  { read, permit, atOnce }: RangeReader,
  { from, end }: { readonly from: number; readonly end: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const own = new AbortController();
  const all = AbortSignal.any([signal, own.signal]);
  const parts: Promise<Uint8Array>[] = [];
  let next = from;
  const start = async (held: Disposable | undefined) => {
    using _held = held;
    const offset = next;
    const length = Math.min(partSize, end - offset);
    next += length;
    return await read({ offset, length }, all);
  };
  try {
    for (;;) {
      while (next < end && parts.length < atOnce) {
        // The first part needs no permit: who reads the blob has one.
        const held = parts.length === 0 ? undefined : permit();
        if (parts.length > 0 && !held) break;
        const part = start(held);
        // Who waits for it gets the failure, unless an earlier part fails, too.
        part.catch(() => {});
        parts.push(part);
      }
      const part = parts.shift();
      if (!part) return;
      yield await part;
    }
  } finally {
    own.abort();
    await Promise.allSettled(parts);
  }
}
