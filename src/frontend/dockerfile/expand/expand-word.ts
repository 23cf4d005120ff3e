import { KilnError } from '../../../base/errors.ts';
import { removePrefix, removeSuffix, replacePattern } from './shell-pattern.ts';

/** The variables an expansion sees. */
export interface Variables {
  get(name: string): string | undefined;
  names(): Iterable<string>;
}

export const noVariables: Variables = { get: () => undefined, names: () => [] };

export interface ExpandOptions {
  /** The mark before a character that is meant literally; `\` by default. */
  readonly escape?: string;
  /** Leave quotes in the result. */
  readonly keepQuotes?: boolean;
  /** Leave escape marks in the result. */
  readonly keepEscapes?: boolean;
  /** Quotes are ordinary characters. */
  readonly ignoreQuotes?: boolean;
  /** Leave references to unset variables as they are, also with what only other shells understand, such as `${v:0:3}`. */
  readonly keepUnset?: boolean;
  /** Leave substitutions with an unknown modifier as they are. */
  readonly keepUnknown?: boolean;
  /** Told of variables that are used but not set, also when the expansion fails in the end. */
  readonly onUnset?: (name: string) => void;
}

export interface Expansion {
  readonly text: string;
  /** `text` split at blanks that were neither quoted nor escaped, after expansion. */
  readonly words: readonly string[];
  /** Variables that were used and set, and used but not set. */
  readonly matched: ReadonlySet<string>;
  readonly unmatched: ReadonlySet<string>;
}

/**
 * Removes quotes and expands variables as a Dockerfile does, which is the POSIX shell's parameter expansion without command
 * and arithmetic substitution: `$v`, `${v}`, and with a modifier `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`.
 * Throws `invalid_argument`, also for a `${v:?message}` that is not met.
 */
export function expandWord(word: string, variables: Variables, options: ExpandOptions = {}): Expansion {
  return new Expander(word, variables, options).expand();
}

/** Text under construction, and the words it falls into. */
class Result {
  text = '';
  /** Pieces of the text; blanks in those that are not quoted separate words. */
  readonly #pieces: { readonly text: string; readonly quoted: boolean }[] = [];

  add(text: string): void {
    this.text += text;
    this.#pieces.push({ text, quoted: false });
  }

  addQuoted(text: string): void {
    this.text += text;
    this.#pieces.push({ text, quoted: true });
  }

  get words(): readonly string[] {
    const words: string[] = [];
    let word = '';
    const end = () => {
      if (word !== '') words.push(word);
      word = '';
    };
    for (const { text, quoted } of this.#pieces) {
      if (quoted) word += text;
      else
        for (const [at, part] of text.split(/\s+/).entries()) {
          if (at > 0) end();
          word += part;
        }
    }
    end();
    return words;
  }
}

/** Of substitutions in substitutions: far more than anybody writes, far less than the stack holds. */
const maximumDepth = 200;

class Expander {
  readonly #source: string;
  readonly #variables: Variables;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  readonly #matched = new Set<string>();
  readonly #unmatched = new Set<string>();
  #at = 0;
  /** How many substitutions the present one is in. */
  #depth = 0;

  constructor(word: string, variables: Variables, options: ExpandOptions) {
    this.#source = word;
    this.#variables = variables;
    this.#options = options;
    this.#escape = options.escape ?? '\\';
  }

  expand(): Expansion {
    try {
      const result = this.#until(undefined, this.#options.keepEscapes ?? false);
      return {
        text: result.text,
        get words() {
          return result.words;
        },
        matched: this.#matched,
        unmatched: this.#unmatched,
      };
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      throw error.wrap(`failed to process ${JSON.stringify(this.#source)}`);
    }
  }

  /** Up to and over `stop`, or to the end without one. */
  #until(stop: string | undefined, keepEscapes: boolean): Result {
    const result = new Result();
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      if (next === stop) {
        this.#at++;
        return result;
      }
      if (next === '$') result.add(this.#dollar(keepEscapes));
      else if (next === '<') result.addQuoted(this.#angle());
      else if (next === "'" && !this.#options.ignoreQuotes) result.addQuoted(this.#singleQuoted());
      else if (next === '"' && !this.#options.ignoreQuotes) result.addQuoted(this.#doubleQuoted(keepEscapes));
      else if (next === this.#escape) {
        this.#at++;
        const escaped = this.#next();
        if (keepEscapes) result.addQuoted(this.#escape);
        if (escaped === undefined) break;
        result.addQuoted(escaped);
      } else result.add(this.#ordinary(stop));
    }
    if (stop !== undefined)
      throw syntaxError(`unexpected end of statement while looking for matching ${stop}`);
    return result;
  }

  /** At least one character, and those after it up to the next that can mean something. */
  #ordinary(stop: string | undefined): string {
    const start = this.#at++;
    for (let next = this.#peek(); next !== undefined && next !== stop; next = this.#peek()) {
      if (next === this.#escape || next === '$' || next === '<' || next === "'" || next === '"') break;
      this.#at++;
    }
    return this.#source.slice(start, this.#at);
  }

  #singleQuoted(): string {
    this.#at++;
    const quote = this.#options.keepQuotes ? "'" : '';
    const end = this.#source.indexOf("'", this.#at);
    if (end < 0) {
      throw syntaxError('unexpected end of statement while looking for matching single-quote');
    }
    const text = this.#source.slice(this.#at, end);
    this.#at = end + 1;
    return quote + text + quote;
  }

  #doubleQuoted(keepEscapes: boolean): string {
    this.#at++;
    const quote = this.#options.keepQuotes ? '"' : '';
    let text = quote;
    for (;;) {
      const next = this.#peek();
      if (next === undefined) {
        throw syntaxError('unexpected end of statement while looking for matching double-quote');
      }
      if (next === '$') {
        text += this.#dollar(keepEscapes);
        continue;
      }
      this.#at++;
      if (next === '"') return text + quote;
      if (next !== this.#escape) {
        text += next;
        continue;
      }
      if (keepEscapes) text += next;
      const escaped = this.#peek();
      if (escaped === undefined) continue;
      const special = escaped === '"' || escaped === '$' || escaped === this.#escape;
      text += special ? this.#next()! : next;
    }
  }

  /** `<<` keeps the blanks after it, so that a heredoc's name stays in one word with it. */
  #angle(): string {
    this.#at++;
    if (this.#peek() !== '<') return '<';
    let text = '<<';
    this.#at++;
    while (/^[\t\r ]$/.test(this.#peek() ?? '')) text += this.#next()!;
    return text;
  }

  #dollar(keepEscapes: boolean): string {
    this.#at++;
    if (this.#peek() !== '{') {
      const name = this.#name();
      if (name === '') return '$';
      const value = this.#lookUp(name);
      if (value === undefined && this.#options.keepUnset) return `$${name}`;
      return value ?? '';
    }
    this.#at++;
    const first = this.#peek();
    if (first === undefined) throw syntaxError("missing '}'");
    if (first === '{' || first === '}' || first === ':') throw syntaxError('bad substitution');
    const name = this.#name();
    return this.#substitution(name, keepEscapes);
  }

  #substitution(name: string, keepEscapes: boolean): string {
    let modifier = this.#next() ?? '';
    if (modifier === '}') {
      const value = this.#lookUp(name);
      if (value === undefined && this.#options.keepUnset) return `\${${name}}`;
      return value ?? '';
    }
    if (modifier === '/') return this.#replacement(name);
    const emptyIsUnset = modifier === ':';
    if (emptyIsUnset) modifier = this.#next() ?? '';
    const written = emptyIsUnset ? `:${modifier}` : modifier;
    const isPattern = modifier === '#' || modifier === '%';
    if (!/^[-+?#%]$/.test(modifier) || (emptyIsUnset && isPattern)) {
      const { keepUnset, keepUnknown } = this.#options;
      const unset = emptyIsUnset && !isPattern && keepUnset && this.#lookUp(name) === undefined;
      if (unset || keepUnknown) return `\${${name}${written}${this.#operand('}', keepEscapes)}}`;
      throw new KilnError('invalid_argument', `unsupported modifier (${written}) in substitution`);
    }
    const word = this.#operand('}', isPattern || keepEscapes);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) return `\${${name}${written}${word}}`;
    const missing = value === undefined || (emptyIsUnset && value === '');
    switch (modifier) {
      case '-':
        return missing ? word : value;
      case '+':
        return missing ? '' : word;
      case '?':
        if (!missing) return value;
        throw new KilnError(
          'invalid_argument',
          `${name}: ${word || (value === undefined ? 'is not allowed to be unset' : 'is not allowed to be empty')}`,
        );
      default: {
        const longest = word.startsWith(modifier);
        const pattern = longest ? word.slice(1) : word;
        const remove = modifier === '#' ? removePrefix : removeSuffix;
        return remove(value ?? '', pattern, longest);
      }
    }
  }

  /** `${name/pattern/text}`, or with `//` for every match. */
  #replacement(name: string): string {
    const all = this.#peek() === '/';
    if (all) this.#at++;
    const pattern = this.#operand('/', true);
    const replacement = this.#operand('}', true);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) return `\${${name}/${pattern}/${replacement}}`;
    return replacePattern(value ?? '', pattern, replacement, all);
  }

  #operand(stop: string, keepEscapes: boolean): string {
    if (++this.#depth > maximumDepth) throw syntaxError(`substitutions nested deeper than ${maximumDepth}`);
    try {
      return this.#until(stop, keepEscapes).text;
    } catch (error) {
      if (this.#peek() !== undefined) throw error;
      throw syntaxError(`missing '${stop}'`);
    } finally {
      this.#depth--;
    }
  }

  /** A name, a number, or one of the shell's special parameters. */
  #name(): string {
    const first = this.#peek();
    if (first === undefined) return '';
    if (/^[@*#?$!-]$/.test(first)) {
      this.#at++;
      return first;
    }
    const form = /(?:\p{Nd}+|[\p{L}_][\p{L}\p{Nd}_]*)/uy;
    form.lastIndex = this.#at;
    const name = form.exec(this.#source)?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  #lookUp(name: string): string | undefined {
    const value = this.#variables.get(name);
    if (value === undefined) this.#options.onUnset?.(name);
    (value === undefined ? this.#unmatched : this.#matched).add(name);
    return value;
  }

  #peek(): string | undefined {
    return this.#source[this.#at];
  }

  #next(): string | undefined {
    return this.#source[this.#at++];
  }
}

function syntaxError(message: string): KilnError {
  return new KilnError(
    'invalid_argument',
    message.startsWith('unexpected') ? message : `syntax error: ${message}`,
  );
}
