import { KilnError } from '../../../base/errors.ts';

/** `${value#pattern}`: without the shortest (or longest) match of the pattern at its start. */
export function removePrefix(value: string, pattern: string, longest: boolean): string {
  const characters = [...value];
  const end = matchAt(characters, parsePattern(pattern), longest);
  return end === undefined ? value : characters.slice(end).join('');
}

/** `${value%pattern}`: without the shortest (or longest) match of the pattern at its end. */
export function removeSuffix(value: string, pattern: string, longest: boolean): string {
  // A match at the end is one at the start of what is read backwards.
  const characters = [...value].reverse();
  const end = matchAt(characters, parsePattern(pattern).toReversed(), longest);
  return end === undefined ? value : characters.slice(end).reverse().join('');
}

/** `${value/pattern/text}`: with the first (or every) longest match replaced. */
export function replacePattern(value: string, pattern: string, text: string, all: boolean): string {
  const characters = [...value];
  const tokens = parsePattern(pattern);
  let result = '';
  let copied = 0;
  let at = 0;
  let replaced = -1;
  for (;;) {
    const match = findLongest(characters, tokens, at);
    if (!match) break;
    const { start, end } = match;
    // Nothing is not found again where a match has just ended.
    if (end > start || start !== replaced) {
      result += characters.slice(copied, start).join('') + text;
      copied = end;
      replaced = end;
      if (!all) break;
    }
    at = end > start ? end : start + 1;
    if (at > characters.length) break;
  }
  return result + characters.slice(copied).join('');
}

/** A character, any one character (`?`), or any number of them (`*`). Neither stands for a line end. */
type Token = { readonly literal: string } | 'any' | 'star';

/** A shell pattern with `*` and `?` but no brackets. Throws `invalid_argument`. */
function parsePattern(pattern: string): Token[] {
  const tokens: Token[] = [];
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '*') tokens.push('star');
    else if (character === '?') tokens.push('any');
    else if (character !== '\\') tokens.push({ literal: character });
    else {
      // `\}` and `\/` only keep the character from ending the pattern.
      const escaped = characters[++at];
      if (escaped === undefined || !'*?\\}/'.includes(escaped)) {
        throw new KilnError(
          'invalid_argument',
          `invalid pattern (${pattern}) in substitution: invalid escape '\\${escaped ?? ''}'`,
        );
      }
      tokens.push({ literal: escaped });
    }
  }
  return tokens;
}

/**
 * For each number of tokens that can have been matched, the first character of such a match; undefined where there is none. All
 * that is possible is followed at once, so that time does not explode however many stars there are.
 */
type Threads = (number | undefined)[];

/** Adds a thread, and those that it becomes where a star stands for nothing. */
function add(threads: Threads, tokens: readonly Token[], matched: number, start: number): void {
  for (let at = matched; ; at++) {
    const known = threads[at];
    if (known !== undefined && known <= start) return;
    threads[at] = start;
    if (tokens[at] !== 'star') return;
  }
}

function step(threads: Threads, tokens: readonly Token[], character: string): Threads {
  const next: Threads = new Array(tokens.length + 1);
  for (const [at, token] of tokens.entries()) {
    const start = threads[at];
    if (start === undefined) continue;
    if (token === 'star') {
      if (character !== '\n') add(next, tokens, at, start);
    } else if (token === 'any' ? character !== '\n' : token.literal === character) {
      add(next, tokens, at + 1, start);
    }
  }
  return next;
}

/** Where the shortest or longest match that begins at the start ends. */
function matchAt(
  characters: readonly string[],
  tokens: readonly Token[],
  longest: boolean,
): number | undefined {
  let threads: Threads = [];
  add(threads, tokens, 0, 0);
  let end: number | undefined;
  for (let at = 0; ; at++) {
    if (threads[tokens.length] !== undefined) {
      if (!longest) return at;
      end = at;
    }
    const character = characters[at];
    if (character === undefined || !threads.some((start) => start !== undefined)) return end;
    threads = step(threads, tokens, character);
  }
}

/** The longest of the matches that begin first, from a character on. */
function findLongest(
  characters: readonly string[],
  tokens: readonly Token[],
  from: number,
): { readonly start: number; readonly end: number } | undefined {
  let threads: Threads = [];
  let found: { start: number; end: number } | undefined;
  for (let at = from; ; at++) {
    if (!found) add(threads, tokens, 0, at);
    const start = threads[tokens.length];
    if (start !== undefined && (!found || start <= found.start)) found = { start, end: at };
    const limit = found?.start;
    if (limit !== undefined) threads = threads.map((each) => (each! <= limit ? each : undefined));
    const character = characters[at];
    if (character === undefined) return found;
    if (found && !threads.some((each) => each !== undefined)) return found;
    threads = step(threads, tokens, character);
  }
}
