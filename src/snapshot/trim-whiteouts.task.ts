import { bytePath } from './byte-path.ts';
import { hasUselessWhiteouts, trimWhiteouts } from './trim-whiteouts.ts';

export interface TrimWhiteoutsInput {
  readonly layer: string;
  /** Topmost first. */
  readonly lowers: readonly string[];
  readonly target: string;
}

/** Answers whether a trimmed copy was needed, and so made. */
export default function trimWhiteoutsTask({ layer, lowers, target }: TrimWhiteoutsInput): boolean {
  const below = lowers.map(bytePath);
  if (!hasUselessWhiteouts(bytePath(layer), below)) return false;
  trimWhiteouts(bytePath(layer), below, bytePath(target));
  return true;
}
