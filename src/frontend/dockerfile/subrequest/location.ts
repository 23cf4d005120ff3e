import type { Range } from '../../../base/errors.ts';

/** Where something is written, as answers have it: a range for each line. */
export interface Location {
  readonly ranges: readonly { readonly start: Line; readonly end: Line }[];
}

interface Line {
  readonly line: number;
}

export function locationOf(range: Range): Location {
  const count = Math.max(range.end.line - range.start.line, 0) + 1;
  return {
    ranges: Array.from({ length: count }, (_, at) => {
      const line = range.start.line + at;
      return { start: { line }, end: { line } };
    }),
  };
}
