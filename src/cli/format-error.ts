import { asKilnError } from '../base/errors.ts';
import { sourceExcerpt } from '../base/text/source-excerpt.ts';
import { printableLines } from './printable.ts';

/**
 * A failure for people: the lines it comes from, what went wrong, and what to do about it. `debug` adds where it was thrown. Servers and
 * Dockerfiles have their words in it, which do not steer the terminal.
 */
export function formatError(thrown: unknown, options: { readonly debug: boolean }): string {
  const error = asKilnError(thrown);
  const excerpts = error.details.map((detail) =>
    detail.kind === 'source' ? sourceExcerpt(detail) : undefined,
  );
  const parts = [
    `${excerpts.filter((excerpt) => excerpt !== undefined).join('')}error: ${error.message}`,
    ...(error.hint ? [`hint: ${error.hint}`] : []),
    ...(options.debug && error.stack ? [error.stack] : []),
  ];
  return parts.map((part) => `${printableLines(part)}\n`).join('');
}
