import type { KilnError } from '../../../base/errors.ts';
import { type Flags, type FlagTable, parseFlags } from './flags.ts';
import type { CommandLine, Heredoc, InstructionHead } from './instruction-tree.ts';
import { type JsonArray, parseJsonArray, type SplitLine } from './split-line.ts';
import { splitOnBlanks, type Word } from './words.ts';

/** What the parser of one instruction is given. */
export interface Parts {
  readonly head: InstructionHead;
  readonly line: SplitLine;
  /** All that follows the instruction's name. */
  readonly text: string;
  readonly heredocs: readonly Heredoc[];
  readonly escape: string;
  /** An error about the whole instruction, or about a word of it. */
  fail(message: string, word?: Pick<Word, 'start' | 'end'>, hint?: string): KilnError;
}

/** Reads the flags and notes where their values are. */
export function flagsOf<Table extends FlagTable>(parts: Parts, table: Table): Flags<Table> {
  for (const { text, start, end } of parts.line.flags) {
    const value = text.indexOf('=') + 1;
    // A flag with quotes or escape marks is not in the file as it is.
    if (value > 0 && end - start === text.length) parts.head.places.add(text.slice(value), start + value);
  }
  return parseFlags(table, parts.line.flags, parts.fail);
}

/** Throws for any flag. */
export function noFlags(parts: Parts): void {
  flagsOf(parts, {});
}

export function atLeastOne({ fail, line }: Parts): KilnError {
  return fail(`${line.name} requires at least one argument`);
}

/** All that follows the flags, as one word. */
export function oneArgument({ fail, line, head }: Parts): string {
  if (line.rest === '') throw fail(`${line.name} requires exactly one argument`);
  head.places.add(line.rest, line.restStart);
  return line.rest;
}

/** The words that follow the flags, between blanks. */
export function blankWords({ line, head }: Parts): readonly Word[] {
  const words = splitOnBlanks(line.rest, line.restStart);
  for (const { text, start } of words) head.places.add(text, start);
  return words;
}

/** The strings of an array in JSON, or else the words between blanks. */
export function wordsOrArray(parts: Parts): readonly string[] {
  return onlyStrings(parts, parts.line.array) ?? blankWords(parts).map(({ text }) => text);
}

export function commandLine(parts: Parts): CommandLine {
  const args = onlyStrings(parts, parts.line.array);
  return args ? { form: 'exec', args } : { form: 'shell', text: parts.line.rest };
}

/** The strings of a text that is an array in JSON; undefined for any other text. */
export function stringArray(parts: Parts, text: string): readonly string[] | undefined {
  return onlyStrings(parts, parseJsonArray(text));
}

/** Throws for an array that is mixed. */
export function onlyStrings({ fail, line }: Parts, array: JsonArray): readonly string[] | undefined {
  if (array !== 'mixed') return array;
  throw fail('when using JSON array syntax, arrays must be comprised of strings only', {
    start: line.restStart,
    end: line.restStart + line.rest.length,
  });
}

/** The first word and what follows the blanks after it, if there are any. */
export function splitOnce(text: string): readonly [string, string | undefined] {
  const match = /^([^\t\v\f\r ]*)[\t\v\f\r ]+(.*)$/s.exec(text);
  return match ? [match[1]!, match[2]!] : [text, undefined];
}

/** What comments `# name description` say, by name. */
export function descriptionsIn(comments: readonly string[]): ReadonlyMap<string, string> {
  const descriptions = new Map<string, string>();
  for (const comment of comments) {
    const space = comment.indexOf(' ');
    const name = comment.slice(0, Math.max(space, 0));
    if (space >= 0 && !descriptions.has(name)) descriptions.set(name, comment.slice(space + 1));
  }
  return descriptions;
}
