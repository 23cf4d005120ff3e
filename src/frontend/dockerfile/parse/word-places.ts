import type { Position, Range } from '../../../base/errors.ts';
import type { LogicalLine } from './logical-line.ts';

/** Lines of the file that a text was read from. */
interface TextLines {
  /** The line that the text begins in, counted from 1. */
  readonly line: number;
  /** The text as it is in the file: tabs that its lines begin with may be missing in the text. */
  readonly written: string;
}

/** Where the words of an instruction that can be expanded are in the file. Of equal words the first is known. */
export class WordPlaces {
  readonly #line: LogicalLine | undefined;
  readonly #offsets = new Map<string, number>();
  readonly #texts = new Map<string, TextLines>();

  /** Without a line for an instruction that is not in the file. */
  constructor(line?: LogicalLine) {
    this.#line = line;
  }

  /** Notes a word that begins at `offset` in the line of the instruction. */
  add(word: string, offset: number): void {
    if (/[$'"]/.test(word) && !this.#offsets.has(word)) this.#offsets.set(word, offset);
  }

  /** Notes the content of a heredoc. */
  addText(text: string, lines: TextLines): void {
    if (!this.#texts.has(text)) this.#texts.set(text, lines);
  }

  /** Where the part of a word from `start` to before `end` is; undefined for a word that is not in the file as it is. */
  rangeOf(word: string, start: number, end: number): Range | undefined {
    const offset = this.#offsets.get(word);
    if (offset !== undefined) return this.#line?.range(offset + start, offset + end);
    const lines = this.#texts.get(word);
    return lines && { start: positionIn(word, start, lines), end: positionIn(word, end, lines) };
  }
}

function positionIn(text: string, offset: number, { line, written }: TextLines): Position {
  const before = text.slice(0, offset).split('\n');
  const index = before.length - 1;
  const column = before[index]!.length;
  const whole = text.split('\n', index + 1)[index]!;
  const missing = written.split('\n', index + 1)[index]!.length - whole.length;
  return { line: line + index, character: column + missing };
}
