import { asKilnError } from '../base/errors.ts';
import { sourceExcerpt } from '../base/text/source-excerpt.ts';

/** A failure for people: the lines it comes from, what went wrong, and what to do about it. `debug` adds where it was thrown. */
export function formatError(thrown: unknown, options: { readonly debug: boolean }): string {
  const error = asKilnError(thrown);
  const excerpts = error.details.map((detail) =>
    detail.kind === 'source' ? sourceExcerpt(detail) : undefined,
  );
  const stack = options.debug && error.stack ? `${error.stack}\n` : '';
  const hint = error.hint ? `hint: ${error.hint}\n` : '';
  return `${excerpts.filter((excerpt) => excerpt !== undefined).join('')}error: ${error.message}\n${hint}${stack}`;
}
