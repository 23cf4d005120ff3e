import { expandToWords, noVariables } from '../expand/expand-word.ts';
import { parseWord } from '../expand/parse-word.ts';

/** What a word like `<<-"EOF"` announces. */
export interface HeredocMark {
  readonly name: string;
  readonly expand: boolean;
  readonly chomp: boolean;
}

/** What a word announces; undefined for a word that is no mark of a heredoc. */
export function parseHeredocMark(word: string): HeredocMark | undefined {
  const match = /^\d*<<(-?)([^<]*)$/.exec(word);
  const written = match?.[2]?.trimStart();
  if (!match || !written) return undefined;
  let name: readonly string[];
  let quoted: readonly string[];
  try {
    const parsed = parseWord(written);
    name = expandToWords(parsed, noVariables, { keepUnset: true });
    quoted = expandToWords(parsed, noVariables, { keepUnset: true, keepQuotes: true });
  } catch {
    return undefined;
  }
  if (name.length !== 1) return undefined;
  const quotes = (text: string) => text.replace(/[^'"]/g, '').length;
  return {
    name: name[0]!,
    // Without a quote that was removed, variables in the content are expanded.
    expand: quotes(name[0]!) === quotes(quoted[0] ?? ''),
    chomp: match[1] === '-',
  };
}

/** The heredocs that an instruction announces, in order. */
export function heredocMarks(line: string): HeredocMark[] {
  if (!line.includes('<<')) return [];
  let words: readonly string[];
  try {
    words = expandToWords(line, noVariables, { keepUnset: true, keepQuotes: true, keepEscapes: true });
  } catch {
    // What cannot be read as words (an open quote, for example) announces nothing.
    return [];
  }
  return words.map(parseHeredocMark).filter((mark) => mark !== undefined);
}

/** `content` without the tabs that its lines begin with. */
export function chompTabs(content: string): string {
  return content.replace(/^\t+/gm, '');
}

/** The bytes of a heredoc; with `chomp` without the tabs that its lines begin with. */
export function documentBytes(bytes: Buffer, chomp: boolean): Buffer {
  return chomp ? Buffer.from(chompTabs(bytes.toString('latin1')), 'latin1') : bytes;
}
