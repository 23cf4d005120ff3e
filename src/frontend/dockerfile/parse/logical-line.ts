import type { Position, Range } from '../../../base/errors.ts';
import { trimEnd } from '../../../base/text/trim-end.ts';

/** A piece of a logical line: the text from `offset` on comes from `line` (counted from 1) and `character` (counted from 0). */
interface Segment {
  readonly offset: number;
  readonly line: number;
  readonly character: number;
}

/** Physical lines that continuation marks join, without these marks. Knows the position in the file of each of its offsets. */
export class LogicalLine {
  readonly text: string;
  /** First and last physical line, counted from 1. */
  readonly startLine: number;
  readonly endLine: number;
  /** Comment lines above, without `#` and white space. */
  readonly comments: readonly string[];
  readonly hasEmptyContinuation: boolean;
  readonly #segments: readonly Segment[];

  constructor(parts: {
    readonly text: string;
    readonly segments: readonly Segment[];
    readonly startLine: number;
    readonly endLine: number;
    readonly comments: readonly string[];
    readonly hasEmptyContinuation: boolean;
  }) {
    this.text = parts.text;
    this.startLine = parts.startLine;
    this.endLine = parts.endLine;
    this.comments = parts.comments;
    this.hasEmptyContinuation = parts.hasEmptyContinuation;
    this.#segments = parts.segments;
  }

  position(offset: number): Position {
    let low = 0;
    let high = this.#segments.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#segments[middle]!.offset > offset) high = middle;
      else low = middle;
    }
    const segment = this.#segments[low]!;
    return { line: segment.line, character: segment.character + offset - segment.offset };
  }

  /** The range from offset `start` to before `end`. */
  range(start: number, end: number): Range {
    const last = end > start ? this.position(end - 1) : this.position(start);
    return {
      start: this.position(start),
      end: { line: last.line, character: last.character + (end > start ? 1 : 0) },
    };
  }
}

/** Reads a Dockerfile's text line by line: logical lines, and raw ones for the content of heredocs. */
export class LineReader {
  readonly #lines: readonly string[];
  readonly #mark: string;
  #next = 0;
  #comments: string[] = [];

  /** `escapeMark` at its end continues a line. */
  constructor(lines: readonly string[], escapeMark: string) {
    this.#lines = lines;
    this.#mark = escapeMark;
  }

  /** How many lines have been read. */
  get line(): number {
    return this.#next;
  }

  /** The next line with its end, undefined after the last. */
  nextRaw(): string | undefined {
    return this.#lines[this.#next++];
  }

  /** Passes over a directive, which would otherwise be a comment of the instruction that follows. */
  skip(): void {
    this.#next++;
  }

  /** The next logical line that is not empty or a comment; undefined at the end. */
  next(): LogicalLine | undefined {
    while (this.#next < this.#lines.length) {
      const raw = withoutEnd(this.#lines[this.#next++]!);
      const startLine = this.#next;
      if (isComment(raw)) {
        const comment = raw.trim().slice(1).trim();
        if (comment === '') this.#comments = [];
        else this.#comments.push(comment);
        continue;
      }
      const trimmed = raw.trimStart();
      const first = this.#trimContinuation(trimmed);
      if (!first.continued && first.text === '') continue;
      return this.#continue(first, startLine, raw.length - trimmed.length);
    }
    return undefined;
  }

  #continue(
    first: { readonly text: string; readonly continued: boolean },
    startLine: number,
    indent: number,
  ): LogicalLine {
    let { text, continued } = first;
    let hasEmptyContinuation = false;
    const segments: Segment[] = [{ offset: 0, line: startLine, character: indent }];
    while (continued && this.#next < this.#lines.length) {
      const raw = withoutEnd(this.#lines[this.#next++]!);
      if (isComment(raw)) continue;
      if (raw.trim() === '') {
        hasEmptyContinuation = true;
        continue;
      }
      segments.push({ offset: text.length, line: this.#next, character: 0 });
      const part = this.#trimContinuation(raw);
      text += part.text;
      continued = part.continued;
    }
    const comments = this.#comments;
    this.#comments = [];
    return new LogicalLine({
      text,
      segments,
      startLine,
      endLine: this.#next,
      comments,
      hasEmptyContinuation,
    });
  }

  /** The mark continues a line when only blanks follow it, and no other mark is before it. */
  #trimContinuation(line: string): { readonly text: string; readonly continued: boolean } {
    const end = trimEnd(line, ' \t').length;
    const continued = line[end - 1] === this.#mark && line[end - 2] !== this.#mark;
    return continued ? { text: line.slice(0, end - 1), continued } : { text: line, continued };
  }
}

/** The lines of a text, with their line ends. */
export function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

export function withoutEnd(line: string): string {
  return trimEnd(line, '\r\n');
}

function isComment(line: string): boolean {
  return line.trimStart().startsWith('#');
}
