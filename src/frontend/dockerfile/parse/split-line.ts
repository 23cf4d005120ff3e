import { splitFlags, type Word } from './words.ts';

/** The strings of a JSON array; `mixed` when not all of its items are strings, undefined for any other text. */
export type JsonArray = readonly string[] | 'mixed' | undefined;

/** The line of an instruction: its name, its flags and what follows. It begins at `offset` of the line that places refer to. */
export class SplitLine {
  readonly keyword: string;
  readonly flags: readonly Word[];
  /** What follows the flags, trimmed, and its offset in the line. */
  readonly rest: string;
  readonly restStart: number;
  readonly #escape: string;
  #array: { readonly value: JsonArray } | undefined;
  #trigger: SplitLine | undefined;

  constructor(text: string, escapeMark: string, offset = 0) {
    this.#escape = escapeMark;
    const start = text.length - text.trimStart().length;
    this.keyword = /^[^\t\v\f\r ]*/.exec(text.slice(start))![0];
    const after = start + this.keyword.length;
    const { flags, rest } = splitFlags(text.slice(after), offset + after, escapeMark);
    const trimmed = text.slice(rest - offset).trimStart();
    this.flags = flags;
    this.rest = trimmed.trimEnd();
    this.restStart = offset + text.length - trimmed.length;
  }

  /** The instruction's name in upper case. */
  get name(): string {
    return this.keyword.toUpperCase();
  }

  /** `rest` as a JSON array. */
  get array(): JsonArray {
    this.#array ??= { value: parseJsonArray(this.rest) };
    return this.#array.value;
  }

  /** `rest` as the line of an instruction, which `ONBUILD` holds. */
  get trigger(): SplitLine {
    this.#trigger ??= new SplitLine(this.rest, this.#escape, this.restStart);
    return this.#trigger;
  }
}

/** Half a surrogate pair, which an escape can write, is U+FFFD, as it becomes wherever text is encoded. */
export function parseJsonArray(text: string): JsonArray {
  if (!text.trimStart().startsWith('[')) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // A text for a shell can begin with a bracket, too.
    return undefined;
  }
  if (!Array.isArray(parsed)) return undefined;
  return parsed.every((item) => typeof item === 'string')
    ? parsed.map((item) => item.toWellFormed())
    : 'mixed';
}
