/** A word of a logical line, with its offsets in that line. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const blanks = /[\t\v\f\r ]+/g;

/** The words between blanks. Quotes have no meaning. */
export function splitOnBlanks(text: string, offset = 0): Word[] {
  const words: Word[] = [];
  let start = 0;
  for (const match of text.matchAll(blanks)) {
    words.push({ text: text.slice(start, match.index), start: offset + start, end: offset + match.index });
    start = match.index + match[0].length;
  }
  if (text !== '') words.push({ text: text.slice(start), start: offset + start, end: offset + text.length });
  return words;
}

/** The words between blanks that are not quoted. Quotes and escape marks stay in the words until they are expanded. */
export function splitQuoted(text: string, escapeMark: string, offset = 0): Word[] {
  const words: Word[] = [];
  let start: number | undefined;
  let quote = '';
  const endAt = (end: number) => {
    if (start !== undefined)
      words.push({ text: text.slice(start, end), start: offset + start, end: offset + end });
    start = undefined;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quote === '' && /\s/.test(character)) {
      endAt(at);
      continue;
    }
    if (character === escapeMark && quote !== "'") {
      // At the end of the line it escapes nothing.
      if (at + 1 === text.length) endAt(at);
      else {
        start ??= at;
        at++;
      }
      continue;
    }
    start ??= at;
    if (quote === '') quote = character === "'" || character === '"' ? character : '';
    else if (character === quote) quote = '';
  }
  endAt(text.length);
  return words;
}

/** The leading words that start with `--`, without their quotes, and the offset at which the rest begins. A lone `--` ends them. */
export function splitFlags(
  text: string,
  offset: number,
  escapeMark: string,
): { readonly flags: readonly Word[]; readonly rest: number } {
  const flags: Word[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && /\s/.test(text[at]!)) at++;
    if (!text.startsWith('--', at)) return { flags, rest: offset + at };
    const start = at;
    let word = '';
    let quote = '';
    for (; at < text.length; at++) {
      const character = text[at]!;
      if (quote === '' && /\s/.test(character)) break;
      if (character === escapeMark) {
        if (++at < text.length) word += text[at]!;
      } else if (quote === '' && (character === "'" || character === '"')) quote = character;
      else if (character === quote) quote = '';
      else word += character;
    }
    at = Math.min(at, text.length);
    if (word === '--') return { flags, rest: offset + at };
    flags.push({ text: word, start: offset + start, end: offset + at });
  }
}
