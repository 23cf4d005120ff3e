import { isUtf8 } from 'node:buffer';
import { KilnError, type Range } from '../../../base/errors.ts';
import { type DockerfileSource, dockerfileError } from '../dockerfile-error.ts';
import { ParsedWords } from '../expand/parsed-words.ts';
import { type Directive, readDirectives } from './directives.ts';
import { heredocMarks } from './heredoc.ts';
import type {
  ArgInstruction,
  Dockerfile,
  FromInstruction,
  Heredoc,
  Instruction,
} from './instruction-tree.ts';
import { LineReader, type LogicalLine, splitLines, withoutEnd } from './logical-line.ts';
import { parseInstruction } from './parse-instruction.ts';
import { SplitLine } from './split-line.ts';
import { WordPlaces } from './word-places.ts';

/**
 * Parses a Dockerfile, handing each instruction to `onInstruction` as soon as it is read. Throws `invalid_argument` with file,
 * line and column range among the details.
 */
export function parseDockerfile(
  source: DockerfileSource,
  onInstruction: (instruction: FromInstruction | Instruction) => void = () => {},
): Dockerfile {
  if (source.data.length === 0) throw dockerfileError(source, lineRange(1), 'the Dockerfile cannot be empty');
  const parser = new DockerfileParser(source);
  const globalArgs: ArgInstruction[] = [];
  const stages: { readonly from: FromInstruction; readonly instructions: Instruction[] }[] = [];
  for (const instruction of parser.instructions()) {
    const stage = stages.at(-1);
    onInstruction(instruction);
    if (instruction.kind === 'from') stages.push({ from: instruction, instructions: [] });
    else if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else {
      throw dockerfileError(source, instruction.range, 'no build stage in current context', {
        hint: 'start with FROM, which names the image to build on',
      });
    }
  }
  if (stages.length === 0) {
    const last = globalArgs.at(-1)?.range ?? lineRange(parser.lineCount);
    throw dockerfileError(
      source,
      last,
      globalArgs.length > 0 ? 'dockerfile contains no stages to build' : 'file with no instructions',
    );
  }
  const { directives, emptyContinuations } = parser;
  const words = new ParsedWords(parser.escape);
  return { source, directives, words, globalArgs, stages, emptyContinuations };
}

/** Parses a single instruction, such as an `ONBUILD` trigger; `range` is where it takes effect. */
export function parseTrigger(expression: string, source: DockerfileSource, range: Range): Instruction {
  const parser = new DockerfileParser({ ...source, data: Buffer.from(expression) });
  let instructions: (FromInstruction | Instruction)[];
  try {
    instructions = [...parser.instructions()];
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw dockerfileError(
      source,
      range,
      `in the ONBUILD trigger ${JSON.stringify(expression)}: ${error.message}`,
      {
        cause: error,
      },
    );
  }
  const [trigger] = instructions;
  if (instructions.length !== 1 || !trigger || trigger.kind === 'from') {
    throw dockerfileError(source, range, 'onbuild trigger should be a single expression');
  }
  return { ...trigger, range, flagRanges: new Map(), places: new WordPlaces() };
}

class DockerfileParser {
  readonly source: DockerfileSource;
  readonly directives: readonly Directive[];
  readonly escape: '\\' | '`';
  readonly emptyContinuations: Range[] = [];
  readonly #lines: readonly string[];
  /** The same lines with a character for each byte, of a file that is not UTF-8. */
  readonly #rawLines: readonly string[] | undefined;

  constructor(source: DockerfileSource) {
    this.source = source;
    this.#lines = splitLines(
      Buffer.from(source.data)
        .toString('utf8')
        .replace(/^\uFEFF/, ''),
    );
    this.#rawLines = isUtf8(source.data)
      ? undefined
      : splitLines(Buffer.from(source.data).toString('latin1'));
    this.directives = this.#readDirectives();
    const directive = this.directives.find(({ name }) => name === 'escape');
    if (directive && directive.value !== '\\' && directive.value !== '`') {
      throw dockerfileError(
        source,
        lineRange(directive.line),
        `invalid escape token '${directive.value}' does not match \` or \\`,
      );
    }
    this.escape = directive?.value === '`' ? '`' : '\\';
  }

  get lineCount(): number {
    return this.#lines.length;
  }

  *instructions(): Generator<FromInstruction | Instruction> {
    const reader = new LineReader(this.#lines, this.escape);
    for (let at = 0; at < this.directives.length; at++) reader.skip();
    for (let line = reader.next(); line; line = reader.next()) {
      if (line.hasEmptyContinuation) this.emptyContinuations.push(lineRange(line.endLine));
      const split = new SplitLine(line.text, this.escape);
      const heredocs = this.#readHeredocs(reader, line, split);
      const instruction = parseInstruction(this.source, line, split, heredocs, reader.line, this.escape);
      if (instruction.kind === 'run' && instruction.command.form !== 'exec') {
        this.#requireText(line);
      }
      yield instruction;
    }
  }

  #readDirectives(): readonly Directive[] {
    const { directives, repeated } = readDirectives(topLines(this.#lines));
    if (!repeated) return directives;
    throw dockerfileError(
      this.source,
      lineRange(repeated.line),
      `only one ${repeated.name} parser directive can be used`,
    );
  }

  #readHeredocs(reader: LineReader, line: LogicalLine, split: SplitLine): Heredoc[] {
    if (!line.text.includes('<<') || !takesHeredocs(split)) return [];
    return heredocMarks(line.text).map((mark) => {
      let content = '';
      const start = reader.line;
      for (let raw = reader.nextRaw(); raw !== undefined; raw = reader.nextRaw()) {
        const text = withoutEnd(raw);
        if ((mark.chomp ? text.replace(/^\t+/, '') : text) === mark.name) {
          const bytes = this.#bytesOf(start, reader.line - 1);
          return { ...mark, line: start + 1, content, ...(bytes && { bytes }) };
        }
        content += raw;
      }
      throw dockerfileError(
        this.source,
        { start: { line: line.startLine, character: 0 }, end: { line: this.#lines.length, character: 0 } },
        `unterminated heredoc`,
        { hint: `end it with a line that holds only ${mark.name}` },
      );
    });
  }

  /** Lines from `start` to before `end`, counted from 0; undefined when they are UTF-8. */
  #bytesOf(start: number, end: number): Buffer | undefined {
    if (!this.#rawLines) return undefined;
    const bytes = Buffer.from(this.#rawLines.slice(start, end).join(''), 'latin1');
    return isUtf8(bytes) ? undefined : bytes;
  }

  /** A command for a shell is passed on as text; with other characters for some bytes it would be another command. */
  #requireText({ startLine, endLine }: LogicalLine): void {
    for (let at = startLine; this.#rawLines && at <= endLine; at++) {
      if (this.#rawLines[at - 1]?.trimStart().startsWith('#') || !this.#bytesOf(at - 1, at)) continue;
      throw dockerfileError(this.source, lineRange(at), 'the command holds bytes that are not UTF-8', {
        hint: 'write the Dockerfile in UTF-8',
      });
    }
  }
}

function lineRange(line: number): Range {
  return { start: { line, character: 0 }, end: { line, character: 0 } };
}

function* topLines(lines: readonly string[]): Generator<string> {
  for (const line of lines) yield withoutEnd(line).trimStart();
}

/** Whether the instruction, or the one that an `ONBUILD` holds, can have heredocs. An `ONBUILD` in another one cannot: it is refused. */
function takesHeredocs(line: SplitLine): boolean {
  const { name, array } = line.name === 'ONBUILD' ? line.trigger : line;
  return ['RUN', 'COPY', 'ADD'].includes(name) && array === undefined;
}
