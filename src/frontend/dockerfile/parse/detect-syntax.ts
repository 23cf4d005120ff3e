import { findDirective, withoutShebang } from './directives.ts';

/** The frontend that a file asks for. */
export interface RequestedSyntax {
  /** The frontend's image: the first word of `value`. */
  readonly reference: string;
  readonly value: string;
  /** Counted from 1, or the number of lines before a JSON document. */
  readonly line: number;
}

/**
 * Reads which frontend a file asks for, if any: with a `# syntax=` directive, with one in a `//` comment, or with the `syntax` key of
 * a JSON document.
 */
export function detectSyntax(text: string): RequestedSyntax | undefined {
  const directive = findDirective(text, 'syntax') ?? findDirective(text, 'syntax', '//');
  if (directive) {
    const { value, line } = directive;
    return { reference: value.split(' ')[0]!, value, line };
  }
  const { body, skipped } = withoutShebang(text);
  const value = syntaxOfJson(body);
  return value === undefined ? undefined : { reference: value, value, line: skipped };
}

function syntaxOfJson(text: string): string | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    const { syntax } = JSON.parse(text) as { readonly syntax?: unknown };
    return typeof syntax === 'string' ? syntax : undefined;
  } catch {
    // A text that begins with a brace need not be JSON.
    return undefined;
  }
}
