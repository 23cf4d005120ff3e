import type { KilnError, Range } from '../../../base/errors.ts';
import { ownValue } from '../../../base/own-value.ts';
import { parseGoDuration } from '../../../base/text/go-duration.ts';
import { type DockerfileSource, dockerfileError } from '../dockerfile-error.ts';
import { didYouMean } from '../nearest.ts';
import { type Flags, type FlagTable, flagTables, parseFlags } from './flags.ts';
import { chompTabs, documentBytes, parseHeredocMark } from './heredoc.ts';
import type {
  CommandLine,
  CopiedDocument,
  FromInstruction,
  Heredoc,
  Instruction,
  InstructionHead,
  KeyValue,
} from './instruction-tree.ts';
import type { LogicalLine } from './logical-line.ts';
import { splitFlags, splitOnBlanks, splitQuoted, type Word } from './words.ts';

/** An instruction's line, split into what all instructions have in common. */
interface Parts {
  readonly head: InstructionHead;
  /** The instruction's name in upper case, for messages. */
  readonly name: string;
  readonly flags: readonly Word[];
  /** What follows the flags, trimmed, and its offset in the line. */
  readonly rest: string;
  readonly restStart: number;
  /** All that follows the instruction's name. */
  readonly text: string;
  readonly heredocs: readonly Heredoc[];
  readonly escape: string;
  /** An error about the whole instruction, or about a word of it. */
  fail(message: string, word?: Pick<Word, 'start' | 'end'>, hint?: string): KilnError;
}

type Parser = (parts: Parts) => FromInstruction | Instruction;

/** Every instruction. A new one is a line here, its variant in the tree, and its conversion. */
const parsers: Readonly<Record<string, Parser>> = {
  ADD: (parts) => {
    const args = copyArguments(parts);
    return { ...parts.head, kind: 'add', flags: flagsOf(parts, flagTables.add), ...args };
  },
  ARG: parseArg,
  CMD: (parts) => ({ ...parts.head, ...noFlags(parts), kind: 'cmd', command: commandLine(parts) }),
  COPY: (parts) => {
    const args = copyArguments(parts);
    return { ...parts.head, kind: 'copy', flags: flagsOf(parts, flagTables.copy), ...args };
  },
  ENTRYPOINT: (parts) => ({
    ...parts.head,
    ...noFlags(parts),
    kind: 'entrypoint',
    command: commandLine(parts),
  }),
  ENV: (parts) => ({ ...parts.head, ...noFlags(parts), kind: 'env', pairs: keyValues(parts) }),
  EXPOSE: (parts) => {
    const ports = splitOnBlanks(parts.rest).map(({ text }) => text);
    if (ports.length === 0) throw atLeastOne(parts);
    return { ...parts.head, ...noFlags(parts), kind: 'expose', ports: ports.sort() };
  },
  FROM: parseFrom,
  HEALTHCHECK: parseHealthcheck,
  LABEL: (parts) => ({ ...parts.head, ...noFlags(parts), kind: 'label', pairs: keyValues(parts) }),
  MAINTAINER: (parts) => ({
    ...parts.head,
    kind: 'maintainer',
    author: oneArgument(parts),
    ...noFlags(parts),
  }),
  ONBUILD: parseOnbuild,
  RUN: (parts) => ({
    ...parts.head,
    kind: 'run',
    flags: flagsOf(parts, flagTables.run),
    command: commandLine(parts),
    documents: parts.heredocs,
  }),
  SHELL: parseShell,
  STOPSIGNAL: (parts) => ({ ...parts.head, kind: 'stopsignal', signal: oneArgument(parts) }),
  USER: (parts) => ({ ...parts.head, kind: 'user', user: oneArgument(parts), ...noFlags(parts) }),
  VOLUME: parseVolume,
  WORKDIR: (parts) => ({ ...parts.head, kind: 'workdir', path: oneArgument(parts), ...noFlags(parts) }),
};

const instructionNames: readonly string[] = Object.keys(parsers);

/** The name, flags and rest of an instruction's line. */
export interface SplitLine {
  readonly keyword: string;
  readonly flags: readonly Word[];
  readonly rest: string;
  readonly restStart: number;
}

export function splitInstruction(text: string, escapeMark: string): SplitLine {
  const start = text.length - text.trimStart().length;
  const keyword = /^[^\t\v\f\r ]*/.exec(text.slice(start))![0];
  const after = start + keyword.length;
  const { flags, rest } = splitFlags(text.slice(after), after, escapeMark);
  const trimmed = text.slice(rest).trimStart();
  return { keyword, flags, rest: trimmed.trimEnd(), restStart: text.length - trimmed.length };
}

/** Whether the instruction (or the one an `ONBUILD` holds) can have heredocs. */
export function takesHeredocs(line: SplitLine, escapeMark: string): boolean {
  const name = line.keyword.toUpperCase();
  if (name === 'ONBUILD')
    return line.rest !== '' && takesHeredocs(splitInstruction(line.rest, escapeMark), escapeMark);
  if (name !== 'RUN' && name !== 'COPY' && name !== 'ADD') return false;
  return jsonArray(line.rest) === undefined;
}

/** Parses one instruction. Throws `invalid_argument` with its place. */
export function parseInstruction(
  source: DockerfileSource,
  line: LogicalLine,
  split: SplitLine,
  heredocs: readonly Heredoc[],
  lastLine: number,
  escapeMark: string,
): FromInstruction | Instruction {
  const range: Range = {
    start: { line: line.startLine, character: 0 },
    end: { line: lastLine, character: 0 },
  };
  const fail: Parts['fail'] = (message, word, hint) =>
    dockerfileError(
      source,
      word ? line.range(word.start, word.end) : range,
      `dockerfile parse error on line ${word ? line.position(word.start).line : line.startLine}: ${message}`,
      { hint },
    );
  const name = split.keyword.toUpperCase();
  const parser = ownValue(parsers, name);
  if (!parser) {
    const start = line.text.length - line.text.trimStart().length;
    throw fail(
      `unknown instruction: ${split.keyword}${didYouMean(split.keyword, instructionNames, { ignoreCase: true })}`,
      { start, end: start + split.keyword.length },
    );
  }
  return parser({
    head: {
      keyword: split.keyword,
      code: line.text.trim(),
      range,
      comments: line.comments,
      flagRanges: flagRangesOf(split.flags, line),
    },
    name,
    flags: split.flags,
    rest: split.rest,
    restStart: split.restStart,
    text: line.text.trimStart().slice(split.keyword.length).trimStart(),
    heredocs,
    escape: escapeMark,
    fail,
  });
}

function flagRangesOf(flags: readonly Word[], line: LogicalLine): InstructionHead['flagRanges'] {
  const ranges = new Map<string, Range[]>();
  for (const { text, start, end } of flags) {
    const name = text.slice(2).split('=', 1)[0]!;
    const known = ranges.get(name) ?? [];
    ranges.set(name, known);
    known.push(line.range(start, end));
  }
  return ranges;
}

function flagsOf<Table extends FlagTable>(parts: Parts, table: Table): Flags<Table> {
  return parseFlags(table, parts.flags, (message, word) => parts.fail(message, word));
}

function noFlags(parts: Parts): object {
  return flagsOf(parts, {}) && {};
}

function atLeastOne(parts: Parts): KilnError {
  return parts.fail(`${parts.name} requires at least one argument`);
}

function oneArgument(parts: Parts): string {
  if (parts.rest === '') throw parts.fail(`${parts.name} requires exactly one argument`);
  return parts.rest;
}

/** The strings of a JSON array; undefined when `text` is not one, `mixed` when not all of it are strings. */
function jsonArray(text: string): readonly string[] | 'mixed' | undefined {
  if (!text.trimStart().startsWith('[')) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed)) return undefined;
  return parsed.every((item) => typeof item === 'string') ? (parsed as string[]) : 'mixed';
}

function stringArray(parts: Parts, text: string): readonly string[] | undefined {
  const array = jsonArray(text);
  if (array !== 'mixed') return array;
  throw parts.fail('when using JSON array syntax, arrays must be comprised of strings only', {
    start: parts.restStart,
    end: parts.restStart + parts.rest.length,
  });
}

function commandLine(parts: Parts): CommandLine {
  const args = stringArray(parts, parts.rest);
  return args ? { form: 'exec', args } : { form: 'shell', text: parts.rest };
}

function wordsOrArray(parts: Parts): readonly string[] {
  return stringArray(parts, parts.rest) ?? splitOnBlanks(parts.rest).map(({ text }) => text);
}

function parseArg(parts: Parts): Instruction {
  const words = splitQuoted(parts.rest, parts.escape);
  if (words.length === 0) throw atLeastOne(parts);
  const descriptions = descriptionsIn(parts.head.comments);
  const args = words.map((word) => {
    const equals = word.indexOf('=');
    if (equals === 0) throw parts.fail('ARG names can not be blank');
    const name = equals < 0 ? word : word.slice(0, equals);
    const description = descriptions.get(name);
    return {
      name,
      ...(equals > 0 && { value: word.slice(equals + 1) }),
      ...(description !== undefined && { description }),
    };
  });
  return { ...parts.head, kind: 'arg', args };
}

/** What comments `# name description` say, by name. */
function descriptionsIn(comments: readonly string[]): ReadonlyMap<string, string> {
  const descriptions = new Map<string, string>();
  for (const comment of comments) {
    const space = comment.indexOf(' ');
    const name = comment.slice(0, Math.max(space, 0));
    if (space >= 0 && !descriptions.has(name)) descriptions.set(name, comment.slice(space + 1));
  }
  return descriptions;
}

function keyValues(parts: Parts): readonly KeyValue[] {
  const words = splitQuoted(parts.rest, parts.escape);
  const [first] = words;
  if (first === undefined) throw atLeastOne(parts);
  if (!first.includes('=')) {
    const [key, rest] = splitOnce(parts.rest);
    if (rest === undefined) throw parts.fail(`${parts.name} must have two arguments`);
    return [{ key, value: rest, legacy: true }];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) {
      throw parts.fail(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    if (equals === 0) throw parts.fail(`${parts.name} names can not be blank`);
    return { key: word.slice(0, equals), value: word.slice(equals + 1), legacy: false };
  });
}

function splitOnce(text: string): readonly [string, string | undefined] {
  const match = /^([^\t\v\f\r ]*)[\t\v\f\r ]+(.*)$/s.exec(text);
  return match ? [match[1]!, match[2]!] : [text, undefined];
}

function copyArguments(parts: Parts) {
  const words = wordsOrArray(parts);
  if (words.length < 2) {
    throw parts.fail(
      `${parts.name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  const dest = words.at(-1)!;
  if (parseHeredocMark(dest)) throw parts.fail(`${parts.name} cannot accept a heredoc as a destination`);
  const heredocs = new Map(parts.heredocs.map((heredoc) => [heredoc.name, heredoc]));
  const sources: string[] = [];
  const documents: CopiedDocument[] = [];
  for (const word of words.slice(0, -1)) {
    const mark = parseHeredocMark(word);
    if (!mark) {
      sources.push(word);
      continue;
    }
    const { name, expand, chomp } = mark;
    const { content = '', bytes } = heredocs.get(name) ?? {};
    const text = chomp ? chompTabs(content) : content;
    if (expand) documents.push({ name, expand, data: text });
    else documents.push({ name, expand, data: bytes ? documentBytes(bytes, chomp) : text });
  }
  return { sources, dest, documents };
}

function parseFrom(parts: Parts): FromInstruction {
  const words = splitOnBlanks(parts.rest, parts.restStart);
  const [image, as, name] = words;
  const named = words.length === 3 && as!.text.toLowerCase() === 'as';
  if (!image || (words.length !== 1 && !named)) {
    throw parts.fail('FROM requires either one or three arguments', undefined, 'write FROM image [AS name]');
  }
  const lower = name?.text.toLowerCase();
  if (lower !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(lower)) {
    throw parts.fail(
      `invalid name for build stage: ${JSON.stringify(name!.text)}, name can't start with a number or contain symbols`,
      name,
    );
  }
  const description = lower === undefined ? undefined : descriptionsIn(parts.head.comments).get(lower);
  return {
    ...parts.head,
    kind: 'from',
    flags: flagsOf(parts, flagTables.from),
    image: image.text,
    ...(lower !== undefined && {
      name: lower,
      as: { keyword: as!.text, name: name!.text },
      ...(description !== undefined && { description }),
    }),
  };
}

function parseHealthcheck(parts: Parts): Instruction {
  const [word, command = ''] = splitOnce(parts.rest);
  if (word === '') throw atLeastOne(parts);
  const head = { ...parts.head, kind: 'healthcheck' as const };
  const type = word.toUpperCase();
  if (type === 'NONE') {
    if (command !== '') throw parts.fail('HEALTHCHECK NONE takes no arguments');
    return { ...head, test: ['NONE'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  }
  const flags = flagsOf(parts, flagTables.healthcheck);
  if (type !== 'CMD') {
    throw parts.fail(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`, {
      start: parts.restStart,
      end: parts.restStart + word.length,
    });
  }
  const args = stringArray(parts, command);
  if (args ? args.length === 0 : command === '') throw parts.fail('Missing command after HEALTHCHECK CMD');
  const interval = (flag: keyof typeof flags) => healthcheckInterval(parts, flag, flags[flag]);
  return {
    ...head,
    test: args ? ['CMD', ...args] : ['CMD-SHELL', command],
    interval: interval('interval'),
    timeout: interval('timeout'),
    startPeriod: interval('start-period'),
    startInterval: interval('start-interval'),
    retries: healthcheckRetries(parts, flags.retries),
  };
}

function healthcheckInterval(parts: Parts, flag: string, value: string | undefined): number {
  if (!value) return 0;
  const duration = parseGoDuration(value);
  if (duration === undefined) {
    throw parts.fail(
      `invalid duration ${JSON.stringify(value)} for --${flag}`,
      undefined,
      'write it as 30s or 1m30s',
    );
  }
  if (duration !== 0 && duration < 1e6) {
    throw parts.fail(`Interval ${JSON.stringify(flag)} cannot be less than 1ms`);
  }
  return duration;
}

function healthcheckRetries(parts: Parts, value: string | undefined): number {
  if (!value) return 0;
  if (!/^[+-]?\d+$/.test(value)) throw parts.fail(`invalid number ${JSON.stringify(value)} for --retries`);
  const retries = Number(value);
  if (retries > 0x7fffffff) throw parts.fail(`--retries is too large (${value})`);
  if (retries < 0) throw parts.fail(`--retries cannot be negative (${retries})`);
  return retries;
}

function parseOnbuild(parts: Parts): Instruction {
  noFlags(parts);
  const [trigger] = splitOnce(parts.rest);
  const name = trigger.toUpperCase();
  if (name === '') throw atLeastOne(parts);
  if (name === 'ONBUILD') throw parts.fail("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (name === 'MAINTAINER' || name === 'FROM') {
    throw parts.fail(`${name} isn't allowed as an ONBUILD trigger`);
  }
  checkTrigger(parts, name);
  const documents = parts.heredocs.map((heredoc) => `\n${heredoc.content}${heredoc.name}`);
  return { ...parts.head, kind: 'onbuild', expression: parts.text + documents.join('') };
}

/** Instructions whose arguments can be an array in JSON. */
const arrayInstructions: ReadonlySet<string> = new Set(
  'ADD CMD COPY ENTRYPOINT HEALTHCHECK RUN SHELL VOLUME'.split(' '),
);

/** What is written wrong fails here; what a trigger means is looked at when it takes effect. */
function checkTrigger(parts: Parts, name: string): void {
  const { rest, restStart } = splitInstruction(parts.rest, parts.escape);
  const trigger = { ...parts, name, rest, restStart: parts.restStart + restStart };
  if (name === 'ENV' || name === 'LABEL') {
    if (rest !== '') keyValues(trigger);
  } else if (arrayInstructions.has(name)) {
    stringArray(trigger, name === 'HEALTHCHECK' ? (splitOnce(rest)[1] ?? '') : rest);
  }
}

function parseShell(parts: Parts): Instruction {
  noFlags(parts);
  if (parts.rest === '') throw atLeastOne(parts);
  const shell = stringArray(parts, parts.rest);
  if (!shell) {
    throw parts.fail(
      `SHELL requires the arguments to be in JSON form`,
      undefined,
      'write SHELL ["executable", "-c"]',
    );
  }
  if (shell.length === 0) throw atLeastOne(parts);
  return { ...parts.head, kind: 'shell', shell };
}

function parseVolume(parts: Parts): Instruction {
  noFlags(parts);
  const paths = wordsOrArray(parts).map((path) => path.trim());
  if (paths.length === 0) throw atLeastOne(parts);
  if (paths.includes('')) throw parts.fail('VOLUME specified can not be an empty string');
  return { ...parts.head, kind: 'volume', paths };
}
