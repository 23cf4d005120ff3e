import { asKilnError, type ErrorCode, type ErrorDetail, KilnError, type Range } from '../../base/errors.ts';
import type { SourceFile } from '../../llb/op.ts';

/** The text that errors, warnings and vertices point into. */
export type DockerfileSource = SourceFile;

/** The error with its place in the source. An error that has a place already keeps it. */
export function atSource(error: unknown, source: DockerfileSource, ranges: readonly Range[]): KilnError {
  const known = asKilnError(error);
  if (known.details.some(({ kind }) => kind === 'source')) return known;
  return known.withDetail({ kind: 'source', ...source, ranges: ranges.flatMap(linesOf) });
}

/** An instruction's place, and the places of its flags by their names. */
interface FlaggedPlace {
  readonly range: Range;
  readonly flagRanges: ReadonlyMap<string, readonly Range[]>;
}

/** Returns what `work` returns. Its error gets the place of the flag, or of the whole instruction where that is not known. */
export function atFlag<T>(
  instruction: FlaggedPlace,
  flag: string,
  index: number,
  source: DockerfileSource,
  work: () => T,
): T {
  try {
    return work();
  } catch (error) {
    throw atSource(error, source, [instruction.flagRanges.get(flag)?.[index] ?? instruction.range]);
  }
}

/** For an expansion: the detail of an error about a part of `word`, a word of an instruction whose `places` are given. */
export function locateIn(
  word: string,
  places: { rangeOf(word: string, start: number, end: number): Range | undefined },
  source: DockerfileSource,
): (start: number, end: number) => ErrorDetail | undefined {
  return (start, end) => {
    const range = places.rangeOf(word, start, end);
    return range && { kind: 'source', ...source, ranges: linesOf(range) };
  };
}

/** An error about the text of a Dockerfile: `invalid_argument` with file, range and text among its details. */
export function dockerfileError(
  source: DockerfileSource,
  range: Range,
  message: string,
  options: { readonly hint?: string; readonly code?: ErrorCode; readonly cause?: unknown } = {},
): KilnError {
  return new KilnError(options.code ?? 'invalid_argument', message, {
    cause: options.cause,
    hint: options.hint,
    details: [{ kind: 'source', ...source, ranges: linesOf(range) }],
  });
}

/** A range for each line of `range`, as clients show and count them. */
export function linesOf({ start, end }: Range): readonly Range[] {
  if (end.line <= start.line) return [{ start, end }];
  const count = Math.max(end.line - start.line, 0) + 1;
  return Array.from({ length: count }, (_, at) => ({
    start: at === 0 ? start : { line: start.line + at, character: 0 },
    end: at === count - 1 ? end : { line: start.line + at, character: 0 },
  }));
}
