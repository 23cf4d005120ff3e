/** Bytes. What is smaller than the smallest chunk is one chunk. */
export const chunkSizes = { smallest: 16 * 1024, usual: 64 * 1024, largest: 256 * 1024 } as const;

/** The highest bits of the hash, which depend on the last 32 bytes; as many as make a chunk of the usual size. */
const mask = (0xffff_ffff << (32 - Math.log2(chunkSizes.usual))) | 0;

/** A number for each byte, the same on every machine: what is chunked here must be what is chunked elsewhere. */
const gear = gearTable();

/**
 * Where the chunk that begins at `start` ends, in data that is known up to `end`: behind a place that looks a certain way, so that chunks before and
 * after a change stay as they are (a gear hash, as in FastCDC). Unless it is as large as a chunk can be, the caller must know that
 * no data comes after `end`, or ask again with more.
 */
export function chunkEnd(data: Uint8Array, start: number, end: number): number {
  const last = Math.min(end, start + chunkSizes.largest);
  let hash = 0;
  let at = Math.min(start + chunkSizes.smallest, last);
  // The hash forgets what is 32 bytes back.
  for (let before = Math.max(at - 32, start); before < at; before++) {
    hash = ((hash << 1) + gear[data[before]!]!) | 0;
  }
  for (; at < last; at++) {
    hash = ((hash << 1) + gear[data[at]!]!) | 0;
    if ((hash & mask) === 0) return at + 1;
  }
  return last;
}

/** Numbers of a simple generator (xorshift) from a fixed start. */
function gearTable(): Int32Array {
  const table = new Int32Array(256);
  let state = 0x9e37_79b9;
  for (let index = 0; index < table.length; index++) {
    for (let round = 0; round < 4; round++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
    }
    table[index] = state;
  }
  return table;
}
