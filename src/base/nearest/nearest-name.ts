import { editDistance } from './edit-distance.ts';

/** Nobody writes a longer name by hand, and comparing takes the time of both lengths multiplied. */
const longest = 400;

/**
 * The candidate that `name` was most likely meant to be: the one with the fewest edits (ignoring case), if those are
 * few enough for a slip of the fingers. Undefined when none is.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > longest) return undefined;
  let best: string | undefined;
  let fewest = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= fewest) continue;
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase(), { swaps: true });
    if (edits < fewest) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}
