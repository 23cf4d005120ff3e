import { entryEnd, firstEntry } from './content-entry.ts';

/**
 * Returns the entries from the first to the last that differ, of what two content checksums cover: edits of large trees are
 * small, and comparing bytes is much cheaper than parsing entries.
 */
export function differingEntries(before: Buffer, after: Buffer): readonly [before: Buffer, after: Buffer] {
  const alike = commonStart(before, after);
  let start = firstEntry(before);
  for (let next = start; next <= alike; next = entryEnd(before, next)) {
    start = next;
    if (next === before.length) break;
  }
  let tail = commonEnd(before.subarray(start), after.subarray(start));
  // Equal bytes are equal entries only from where an entry begins in both.
  for (;;) {
    const end = startWithin(before, start, before.length - tail);
    const otherEnd = startWithin(after, start, after.length - tail);
    const whole = Math.min(before.length - end, after.length - otherEnd);
    if (whole === tail) return [before.subarray(start, end), after.subarray(start, otherEnd)];
    tail = whole;
  }
}

/** Returns the first start of an entry at or after `limit`, or the end. */
function startWithin(entries: Buffer, start: number, limit: number): number {
  let at = start;
  while (at < limit) at = entryEnd(entries, at);
  return at;
}

/** Returns the number of equal bytes at the start of two buffers. Searches by halves, since comparing blocks is fast. */
function commonStart(one: Buffer, other: Buffer): number {
  let [same, different] = [0, Math.min(one.length, other.length) + 1];
  while (different - same > 1) {
    const middle = (same + different) >> 1;
    if (one.compare(other, same, middle, same, middle) === 0) same = middle;
    else different = middle;
  }
  return same;
}

/** Returns the number of equal bytes at the end of two buffers. */
function commonEnd(one: Buffer, other: Buffer): number {
  let [same, different] = [0, Math.min(one.length, other.length) + 1];
  while (different - same > 1) {
    const middle = (same + different) >> 1;
    const [at, otherAt] = [one.length - middle, other.length - middle];
    if (one.compare(other, otherAt, otherAt + middle - same, at, at + middle - same) === 0) same = middle;
    else different = middle;
  }
  return same;
}
