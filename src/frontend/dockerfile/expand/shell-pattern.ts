import { KilnError } from '../../../base/errors.ts';

/** Text and single characters of any kind, one after another: what stands between two stars. */
interface Chunk {
  /** Undefined for `?`. */
  readonly tokens: readonly (string | undefined)[];
}

/** Characters of a result: each of many can be replaced by many. */
const longestResult = 16 * 1024 * 1024;

/** What may follow a backslash. */
const escapable = /[*?}/\\]/;

/**
 * A pattern of `${v#pattern}` and the like: `*` is any text and `?` any character, both on one line; a backslash before `*`, `?`, `}`, `/`
 * and itself takes its meaning away. Matching takes time in proportion to the product of both lengths at most, and is linear for most.
 */
export class ShellPattern {
  /** Between stars: there is one more of them than of stars. */
  readonly #chunks: readonly Chunk[];

  /** Throws `invalid_argument` for a backslash before anything else. */
  constructor(pattern: string) {
    this.#chunks = parseChunks(pattern);
  }

  /** `value` without the shortest or longest text at its start that matches. */
  removePrefix(value: string, longest: boolean): string {
    return value.slice(new Matching(this.#chunks, value).prefixEnd(longest) ?? 0);
  }

  /** `value` without the shortest or longest text at its end that matches. */
  removeSuffix(value: string, longest: boolean): string {
    const mirrored = this.#chunks
      .map(({ tokens }) => ({ tokens: tokens.map((token) => token && mirror(token)).reverse() }))
      .reverse();
    const length = new Matching(mirrored, mirror(value)).prefixEnd(longest) ?? 0;
    return value.slice(0, value.length - length);
  }

  /**
   * `value` with the first match, or all matches, replaced. Matches are as long as they can be; `text` is taken literally.
   * Throws `resource_exhausted` when the result is too long.
   */
  replace(value: string, text: string, all: boolean): string {
    const matching = new Matching(this.#chunks, value);
    let result = '';
    let copied = 0;
    let from = 0;
    for (let match = matching.next(from); match; match = matching.next(from)) {
      const { start, end } = match;
      // An empty match where another match has just ended does not count.
      if (start !== end || start !== copied || start === 0) {
        result += value.slice(copied, start) + text;
        if (result.length > longestResult) {
          throw new KilnError(
            'resource_exhausted',
            `a substitution makes more than ${longestResult} characters`,
          );
        }
        copied = end;
        if (!all) break;
      }
      from = end > from ? end : end + characterLength(value, end);
      if (from > value.length) break;
    }
    return result + value.slice(copied);
  }
}

function parseChunks(pattern: string): readonly Chunk[] {
  const chunks: Chunk[] = [];
  let tokens: (string | undefined)[] = [];
  let text = '';
  const endText = () => {
    if (text !== '') tokens.push(text);
    text = '';
  };
  const endChunk = () => {
    endText();
    chunks.push({ tokens });
    tokens = [];
  };
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]!;
    if (character === '*') endChunk();
    else if (character === '?') {
      endText();
      tokens.push(undefined);
    } else if (character === '\\') {
      const escaped = pattern.slice(at + 1, at + 1 + characterLength(pattern, at + 1));
      if (!escapable.test(escaped)) {
        throw new KilnError('invalid_argument', `invalid escape '\\${escaped}'`);
      }
      text += escaped;
      at++;
    } else text += character;
  }
  endChunk();
  return chunks;
}

/** One pattern on one value. */
class Matching {
  readonly #first: Chunk;
  /** What follows after each star. */
  readonly #rest: readonly Chunk[];
  readonly #value: string;
  /** The line that was looked at last: from where on, and where it ends. */
  #line = { from: 0, end: -1 };
  /** The rest of the pattern matches nowhere from here back to where its line begins. */
  #deadUntil = -1;

  constructor([first, ...rest]: readonly Chunk[], value: string) {
    this.#first = first!;
    this.#rest = rest;
    this.#value = value;
  }

  /** The end of the shortest or longest match at the start of the value. */
  prefixEnd(longest: boolean): number | undefined {
    const end = this.#endOf(this.#first, 0);
    return end === undefined ? undefined : this.#restEnd(end, longest);
  }

  /** The leftmost match from `from` on, the longest one there. Must not be asked for an earlier one than before. */
  next(from: number): { readonly start: number; readonly end: number } | undefined {
    let start = this.#find(this.#first, from, this.#value.length);
    while (start !== undefined) {
      const end = this.#endOf(this.#first, start)!;
      if (this.#rest.length === 0) return { start, end };
      if (end > this.#deadUntil) {
        const restEnd = this.#restEnd(end, true);
        if (restEnd !== undefined) return { start, end: restEnd };
        // What the rest does not match after its star, it does not match further on in the same line either.
        this.#deadUntil = this.#lineEnd(end);
      }
      const after = start + Math.max(characterLength(this.#value, start), 1);
      start = after > this.#value.length ? undefined : this.#find(this.#first, after, this.#value.length);
    }
    return undefined;
  }

  /** Where a match of all chunks after the first ends that begins at `from` with a star. */
  #restEnd(from: number, longest: boolean): number | undefined {
    let at = from;
    for (const [index, chunk] of this.#rest.entries()) {
      const isLast = index === this.#rest.length - 1;
      const limit = this.#lineEnd(at);
      const start: number | undefined =
        isLast && longest ? this.#findLast(chunk, at, limit) : this.#find(chunk, at, limit);
      if (start === undefined) return undefined;
      at = this.#endOf(chunk, start)!;
    }
    return at;
  }

  /** Where the line ends that `at` is in. */
  #lineEnd(at: number): number {
    if (at < this.#line.from || at > this.#line.end) {
      const end = this.#value.indexOf('\n', at);
      this.#line = { from: at, end: end < 0 ? this.#value.length : end };
    }
    return this.#line.end;
  }

  /** The first place from `from` to `limit` at which the chunk matches. */
  #find(chunk: Chunk, from: number, limit: number): number | undefined {
    const literal = literalOf(chunk);
    if (literal !== undefined) {
      const found = this.#window(literal, from, limit).indexOf(literal);
      return found < 0 ? undefined : from + found;
    }
    for (let at = from; at <= limit; at++) {
      if (this.#isBoundary(at) && this.#endOf(chunk, at) !== undefined) return at;
    }
    return undefined;
  }

  /** The last place from `from` to `limit` at which the chunk matches. */
  #findLast(chunk: Chunk, from: number, limit: number): number | undefined {
    const literal = literalOf(chunk);
    if (literal !== undefined) {
      const found = this.#window(literal, from, limit).lastIndexOf(literal);
      return found < 0 ? undefined : from + found;
    }
    for (let at = limit; at >= from; at--) {
      if (this.#isBoundary(at) && this.#endOf(chunk, at) !== undefined) return at;
    }
    return undefined;
  }

  /** The part of the value in which `text` lies if it starts from `from` to `limit`. */
  #window(text: string, from: number, limit: number): string {
    return this.#value.slice(from, limit + text.length);
  }

  /** Where the chunk ends if it matches at `at`. */
  #endOf({ tokens }: Chunk, at: number): number | undefined {
    let end = at;
    for (const token of tokens) {
      if (token === undefined) {
        if (end >= this.#value.length || this.#value[end] === '\n') return undefined;
        end += characterLength(this.#value, end);
      } else {
        if (!this.#value.startsWith(token, end)) return undefined;
        end += token.length;
      }
    }
    return end;
  }

  /** Whether a character starts here, and not the second half of one. */
  #isBoundary(at: number): boolean {
    return at === 0 || characterLength(this.#value, at - 1) < 2;
  }
}

/** The text of a chunk without `?`. */
function literalOf({ tokens }: Chunk): string | undefined {
  return tokens.length === 0 ? '' : tokens.length === 1 ? tokens[0] : undefined;
}

/** In UTF-16 units; at the end, 1. */
function characterLength(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function mirror(text: string): string {
  return [...text].reverse().join('');
}
