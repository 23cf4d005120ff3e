import { asKilnError, type ErrorCode, KilnError, type Range } from '../../base/errors.ts';

/** The text that errors, warnings and vertices point into. */
export interface DockerfileSource {
  readonly filename: string;
  readonly language: string;
  readonly data: Uint8Array;
}

/** `error` with the place it comes from. What already has a place keeps it. */
export function atSource(error: unknown, source: DockerfileSource, ranges: readonly Range[]): KilnError {
  const known = asKilnError(error);
  if (known.details.some(({ kind }) => kind === 'source')) return known;
  return known.withDetail({ kind: 'source', ...source, ranges });
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
    details: [{ kind: 'source', ...source, ranges: [range] }],
  });
}
