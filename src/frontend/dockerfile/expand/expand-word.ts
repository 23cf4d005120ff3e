import { asKilnError, type ErrorDetail, KilnError } from '../../../base/errors.ts';
import { isKnownOperator, type ParseWordOptions, parseWord } from './parse-word.ts';
import { ShellPattern } from './shell-pattern.ts';
import type { Parameter, ParsedWord, WordFault, WordPart } from './word-tree.ts';

/** The variables that an expansion sees. */
export interface Variables {
  get(name: string): string | undefined;
  names(): Iterable<string>;
}

export const noVariables: Variables = { get: () => undefined, names: () => [] };

export interface ExpandOptions {
  /** Leave quotes in the result. */
  readonly keepQuotes?: boolean;
  /** Leave escape marks in the result. */
  readonly keepEscapes?: boolean;
  /** Leave references to unset variables as they are, also with what only other shells understand, such as `${v:0:3}`. */
  readonly keepUnset?: boolean;
  /** Leave substitutions with an unknown operator as they are. */
  readonly keepUnknown?: boolean;
  /** Told of variables that are used but not set, also when the expansion fails in the end. */
  readonly onUnset?: (name: string) => void;
  /** Where the part of the word from `start` to before `end` was written, if known: a detail of an error about that part. */
  readonly locate?: (start: number, end: number) => ErrorDetail | undefined;
}

export interface Expansion {
  readonly text: string;
  /** Names of variables that were used and set. */
  readonly matched: ReadonlySet<string>;
  /** Names of variables that were used and not set. */
  readonly unmatched: ReadonlySet<string>;
}

/**
 * Removes quotes and expands variables as a Dockerfile does, which is the POSIX shell's parameter expansion without command
 * and arithmetic substitution: `$v`, `${v}`, and with an operator `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`.
 * Throws `invalid_argument` for what cannot be read, and for a `${v:?message}` that is not met.
 */
export function expandWord(
  word: string | ParsedWord,
  variables: Variables,
  options: ExpandOptions & ParseWordOptions = {},
): Expansion {
  const parsed = typeof word === 'string' ? parseWord(word, options) : word;
  const expander = new Expander(parsed, variables, options);
  return { text: expander.text(), matched: expander.matched, unmatched: expander.unmatched };
}

/** Expands a word as `expandWord` does, and splits the result at blanks that were neither quoted nor escaped. */
export function expandToWords(
  word: string | ParsedWord,
  variables: Variables,
  options: ExpandOptions & ParseWordOptions = {},
): readonly string[] {
  const parsed = typeof word === 'string' ? parseWord(word, options) : word;
  return new Expander(parsed, variables, options).words();
}

/** Blanks between words. Those that are written after `<<` belong to the mark of a heredoc. */
const separator = /(<<[ \t\r]*|\s+)/;
const joins = /^<</;

/** One evaluation of a parsed word. */
class Expander {
  readonly matched = new Set<string>();
  readonly unmatched = new Set<string>();
  readonly #word: ParsedWord;
  readonly #variables: Variables;
  readonly #options: ExpandOptions;

  constructor(word: ParsedWord, variables: Variables, options: ExpandOptions) {
    this.#word = word;
    this.#variables = variables;
    this.#options = options;
  }

  text(): string {
    return this.#textOf(this.#word.parts, this.#options.keepEscapes ?? false);
  }

  words(): readonly string[] {
    const words: string[] = [];
    let word = '';
    for (const part of this.#word.parts) {
      const text = this.#partText(part, this.#options.keepEscapes ?? false);
      if (typeof part === 'object' && part.kind !== 'parameter') {
        word += text;
        continue;
      }
      // Pieces, and between them what separates or joins them.
      for (const [at, piece] of text.split(typeof part === 'string' ? separator : /(\s+)/).entries()) {
        if (at % 2 === 0 || joins.test(piece)) word += piece;
        else {
          if (word !== '') words.push(word);
          word = '';
        }
      }
    }
    if (word !== '') words.push(word);
    return words;
  }

  #textOf(parts: readonly WordPart[], keepEscapes: boolean): string {
    let text = '';
    for (const part of parts) text += this.#partText(part, keepEscapes);
    return text;
  }

  #partText(part: WordPart, keepEscapes: boolean): string {
    if (typeof part === 'string') return part;
    switch (part.kind) {
      case 'escaped':
        return keepEscapes ? part.raw : part.plain;
      case 'quoted': {
        const text = this.#textOf(part.parts, keepEscapes);
        return this.#options.keepQuotes ? part.mark + text + part.mark : text;
      }
      case 'parameter':
        return this.#substitute(part, keepEscapes);
      case 'fault':
        throw this.#failure(part.message, part);
    }
  }

  #substitute(parameter: Parameter, keepEscapes: boolean): string {
    const { name, operator } = parameter;
    if (operator === undefined) {
      const value = this.#lookUp(name);
      if (value !== undefined) return value;
      return this.#options.keepUnset ? this.#word.text.slice(parameter.start, parameter.end) : '';
    }
    if (!isKnownOperator(operator)) return this.#keepUnknown(parameter, operator, keepEscapes);
    return /[#%/]/.test(operator)
      ? this.#edit(parameter, operator)
      : this.#choose(parameter, operator, keepEscapes);
  }

  /** `:-`, `:+`, `:?` and their forms without colon, for which an empty value counts as well. */
  #choose(parameter: Parameter, operator: string, keepEscapes: boolean): string {
    const { name } = parameter;
    const operand = this.#textOf(parameter.operand, keepEscapes);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) return `\${${name}${operator}${operand}}`;
    const counts = value !== undefined && !(operator.startsWith(':') && value === '');
    switch (operator.at(-1)) {
      case '-':
        return counts ? value : operand;
      case '+':
        return counts ? operand : '';
      default: {
        if (counts) return value;
        const why = operand || `is not allowed to be ${value === undefined ? 'unset' : 'empty'}`;
        throw this.#failure(`${name}: ${why}`, parameter);
      }
    }
  }

  /** `#`, `##`, `%`, `%%`, `/` and `//`: the value without what a pattern matches, or with something else in its place. */
  #edit(parameter: Parameter, operator: string): string {
    const { name } = parameter;
    const pattern = this.#textOf(parameter.operand, true);
    const replaces = operator.startsWith('/');
    const replacement = replaces ? this.#textOf(parameter.replacement, true) : '';
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) {
      // One slash stands for `//` too, as in the step names of BuildKit.
      return `\${${name}${replaces ? '/' : operator}${pattern}${replaces ? '/' : ''}${replacement}}`;
    }
    let matcher: ShellPattern;
    try {
      matcher = new ShellPattern(pattern);
    } catch (cause) {
      const { message } = asKilnError(cause);
      throw this.#failure(`invalid pattern (${pattern}) in substitution: ${message}`, parameter);
    }
    const repeated = operator.length === 2;
    switch (operator[0]) {
      case '#':
        return matcher.removePrefix(value ?? '', repeated);
      case '%':
        return matcher.removeSuffix(value ?? '', repeated);
      default:
        return matcher.replace(value ?? '', replacement, repeated);
    }
  }

  #keepUnknown(parameter: Parameter, operator: string, keepEscapes: boolean): string {
    const { name } = parameter;
    const { keepUnset, keepUnknown } = this.#options;
    // A shell's `${v:0:3}`, which an unset variable excuses.
    const isUnset = keepUnset === true && /^:[^#%]?$/su.test(operator) && this.#lookUp(name) === undefined;
    if (!keepUnknown && !isUnset) {
      const end = parameter.start + `\${${name}${operator}`.length;
      throw this.#failure(`unsupported modifier (${operator}) in substitution`, parameter, end);
    }
    return `\${${name}${operator}${this.#textOf(parameter.operand, keepEscapes)}}`;
  }

  #lookUp(name: string): string | undefined {
    const value = this.#variables.get(name);
    if (value !== undefined) this.matched.add(name);
    else {
      this.unmatched.add(name);
      this.#options.onUnset?.(name);
    }
    return value;
  }

  /** The failure of a part, which is noticed at `noticed`. */
  #failure(message: string, part: WordFault | Parameter, noticed = part.end): KilnError {
    const { text, open } = this.#word;
    const { locate } = this.#options;
    if (open && part.kind === 'parameter' && noticed === text.length && part.start > open.start) {
      return this.#failure(open.message, open);
    }
    const place = locate?.(part.start, part.end);
    return new KilnError('invalid_argument', `failed to process ${JSON.stringify(text)}: ${message}`, {
      details: place ? [place] : [],
    });
  }
}
