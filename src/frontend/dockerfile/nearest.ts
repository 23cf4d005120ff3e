import { editDistance } from '../../base/nearest/edit-distance.ts';

/** How many candidates are compared: there may be as many texts to compare them with. */
const mostCandidates = 1_000;

/**
 * The candidate that `text` was probably meant to be: at most two edits away. Undefined when none is near, or when one
 * is equal: then something else is wrong. With `ignoreCase` the result is in upper or lower case if `text` is.
 */
export function nearest(
  text: string,
  candidates: Iterable<string>,
  options: { readonly ignoreCase?: boolean } = {},
): string | undefined {
  const fold = (word: string) => (options.ignoreCase ? word.toLowerCase() : word);
  const wanted = fold(text);
  // Nobody writes a longer one by hand.
  if (text.length > 200) return undefined;
  let best: string | undefined;
  let bestDistance = 3;
  let looked = 0;
  for (const candidate of candidates) {
    if (++looked > mostCandidates) break;
    const folded = fold(candidate);
    if (folded === wanted) return undefined;
    if (Math.abs(wanted.length - folded.length) >= bestDistance) continue;
    const distance = editDistance(wanted, folded);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (best === undefined || !options.ignoreCase) return best;
  if (text === text.toLowerCase()) return best.toLowerCase();
  return text === text.toUpperCase() ? best.toUpperCase() : best;
}

/** ` (did you mean X?)`, or nothing. */
export function didYouMean(
  text: string,
  candidates: Iterable<string>,
  options?: { readonly ignoreCase?: boolean },
): string {
  const match = nearest(text, candidates, options);
  return match === undefined ? '' : ` (did you mean ${match}?)`;
}
