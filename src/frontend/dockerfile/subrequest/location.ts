import type { Range } from '../../../base/errors.ts';
import { linesOf } from '../dockerfile-error.ts';

/** Where something is written, as answers have it: a range for each line. */
export interface Location {
  readonly ranges: readonly { readonly start: Line; readonly end: Line }[];
}

interface Line {
  readonly line: number;
}

export function locationOf(range: Range): Location {
  return {
    ranges: linesOf(range).map(({ start: { line } }) => ({ start: { line }, end: { line } })),
  };
}
