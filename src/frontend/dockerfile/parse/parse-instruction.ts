import type { Range } from '../../../base/errors.ts';
import { ownValue } from '../../../base/own-value.ts';
import { type DockerfileSource, dockerfileError } from '../dockerfile-error.ts';
import { didYouMean } from '../nearest.ts';
import { flagTables } from './flags.ts';
import {
  atLeastOne,
  blankWords,
  commandLine,
  flagsOf,
  noFlags,
  oneArgument,
  onlyStrings,
  type Parts,
  wordsOrArray,
} from './instruction-parts.ts';
import type { FromInstruction, Heredoc, Instruction, InstructionHead } from './instruction-tree.ts';
import type { LogicalLine } from './logical-line.ts';
import { copyPaths } from './parse-copy.ts';
import { parseFrom } from './parse-from.ts';
import { parseHealthcheck } from './parse-healthcheck.ts';
import { parseOnbuild } from './parse-onbuild.ts';
import { argDefinitions, keyValues } from './parse-pairs.ts';
import { runCommand } from './parse-run.ts';
import type { SplitLine } from './split-line.ts';
import { WordPlaces } from './word-places.ts';
import type { Word } from './words.ts';

type Parser = (parts: Parts) => FromInstruction | Instruction;

/** Every instruction. A new one is a line here, its variant in the tree, and its conversion. */
const parsers: Readonly<Record<string, Parser>> = {
  ADD: (parts) => {
    const paths = copyPaths(parts);
    return { ...parts.head, kind: 'add', flags: flagsOf(parts, flagTables.add), ...paths };
  },
  ARG: (parts) => ({ ...parts.head, kind: 'arg', args: argDefinitions(parts) }),
  CMD: (parts) => {
    noFlags(parts);
    return { ...parts.head, kind: 'cmd', command: commandLine(parts) };
  },
  COPY: (parts) => {
    const paths = copyPaths(parts);
    return { ...parts.head, kind: 'copy', flags: flagsOf(parts, flagTables.copy), ...paths };
  },
  ENTRYPOINT: (parts) => {
    noFlags(parts);
    return { ...parts.head, kind: 'entrypoint', command: commandLine(parts) };
  },
  ENV: (parts) => {
    noFlags(parts);
    return { ...parts.head, kind: 'env', pairs: keyValues(parts) };
  },
  EXPOSE: (parts) => {
    const ports = blankWords(parts).map(({ text }) => text);
    if (ports.length === 0) throw atLeastOne(parts);
    noFlags(parts);
    return { ...parts.head, kind: 'expose', ports: ports.sort() };
  },
  FROM: parseFrom,
  HEALTHCHECK: parseHealthcheck,
  LABEL: (parts) => {
    noFlags(parts);
    return { ...parts.head, kind: 'label', pairs: keyValues(parts) };
  },
  MAINTAINER: (parts) => {
    const author = oneArgument(parts);
    noFlags(parts);
    return { ...parts.head, kind: 'maintainer', author };
  },
  ONBUILD: parseOnbuild,
  RUN: (parts) => {
    const flags = flagsOf(parts, flagTables.run);
    return { ...parts.head, kind: 'run', flags, command: runCommand(parts) };
  },
  SHELL: (parts) => {
    noFlags(parts);
    if (parts.line.rest === '') throw atLeastOne(parts);
    const shell = onlyStrings(parts, parts.line.array);
    if (!shell) {
      throw parts.fail(
        `SHELL requires the arguments to be in JSON form`,
        undefined,
        'write SHELL ["executable", "-c"]',
      );
    }
    if (shell.length === 0) throw atLeastOne(parts);
    return { ...parts.head, kind: 'shell', shell };
  },
  STOPSIGNAL: (parts) => ({ ...parts.head, kind: 'stopsignal', signal: oneArgument(parts) }),
  USER: (parts) => {
    const user = oneArgument(parts);
    noFlags(parts);
    return { ...parts.head, kind: 'user', user };
  },
  VOLUME: (parts) => {
    noFlags(parts);
    const paths = wordsOrArray(parts).map((path) => path.trim());
    if (paths.length === 0) throw atLeastOne(parts);
    if (paths.includes('')) throw parts.fail('VOLUME specified can not be an empty string');
    return { ...parts.head, kind: 'volume', paths };
  },
  WORKDIR: (parts) => {
    const path = oneArgument(parts);
    noFlags(parts);
    return { ...parts.head, kind: 'workdir', path };
  },
};

const instructionNames: readonly string[] = Object.keys(parsers);

/** Parses one instruction, which ends in line `lastLine` of the file. Throws `invalid_argument` with its place. */
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
  const parser = ownValue(parsers, split.name);
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
      places: new WordPlaces(line),
    },
    line: split,
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
