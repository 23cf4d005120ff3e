/** A stretch of work in milliseconds since the epoch. One without an end still goes on. */
export interface Interval {
  readonly start: number;
  readonly end?: number;
}

/** Seconds covered by at least one interval; those that go on count up to `now`. */
export function coveredSeconds(intervals: Iterable<Interval>, now: number): number {
  const sorted = [...intervals].sort((a, b) => a.start - b.start);
  let total = 0;
  let reached = Number.NEGATIVE_INFINITY;
  for (const { start, end = Math.max(start, now) } of sorted) {
    total += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return total / 1000;
}

/** The start of the latest stretch that is not connected to an earlier one. */
export function latestStart(intervals: Iterable<Interval>): number | undefined {
  let start: number | undefined;
  let reached = Number.NEGATIVE_INFINITY;
  for (const interval of [...intervals].sort((a, b) => a.start - b.start)) {
    if (start === undefined || interval.start > reached) start = interval.start;
    reached = Math.max(reached, interval.end ?? Number.POSITIVE_INFINITY);
  }
  return start;
}

export function goesOn(intervals: Iterable<Interval>): boolean {
  for (const interval of intervals) if (interval.end === undefined) return true;
  return false;
}
