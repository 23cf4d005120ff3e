// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import type { Random } from '../../src/base/testing/random.ts';

/** A Dockerfile made of one or two others by a few random changes, some of which no editor would let through. */
export function mutateDockerfile(corpus: readonly string[], random: Random): Uint8Array {
  let text = random.pick(corpus);
  // Most keep what can be parsed so: only then the conversion has something to do.
  const isRough = random.chance(0.5);
  for (let left = 1 + random.below(6); left > 0; left--) {
    const mutation = random.pick(isRough && left === 1 ? rough : gentle);
    text = mutation(text, random, corpus).slice(0, longest);
  }
  const bytes = Buffer.from(text);
  // Not UTF-8.
  if (random.chance(0.03) && bytes.length > 0) bytes[random.below(bytes.length)] = 0x80 + random.below(0x80);
  return bytes;
}

/** In UTF-16 units: what grows by doubling stays a Dockerfile. */
const longest = 20_000;

type Mutation = (text: string, random: Random, corpus: readonly string[]) => string;

const gentle: readonly Mutation[] = [
  // An instruction goes, is there twice, moves, or comes from elsewhere.
  onLines((lines, random) =>
    lines.length > 3 ? lines.toSpliced(1 + random.below(lines.length - 1), 1) : lines,
  ),
  onLines((lines, random) => [...lines, random.pick(lines)]),
  onLines((lines, random) => {
    const line = random.pick(lines.slice(1)) ?? '';
    return [...lines.filter((other) => other !== line), line];
  }),
  (text, random, corpus) => {
    const lines = random.pick(corpus).split('\n');
    const from = random.below(lines.length);
    return `${text}\n${lines.slice(from, from + 1 + random.below(3)).join('\n')}`;
  },
  (text, random, corpus) => `${text}\n${random.pick(corpus)}`,
  (text, random) => `${text}\n${random.pick(instructions)} ${random.pick(pieces)} ${random.pick(pieces)}`,
  // What an instruction is about changes.
  onArguments((word, random) =>
    random.pick([`"${word}"`, `'${word}'`, `$${word}`, `\${A:-${word}}`, `${word}/.`]),
  ),
  onArguments((_word, random) => random.pick(['$A', '/a/b', 'base', 's1', '1', '*', '../x', 'C:\\x', '-'])),
  onArguments((word, random) => `${random.pick(flags)} ${word}`),
];

const rough: readonly Mutation[] = [
  // Lines come and go anywhere.
  onLines((lines, random) => lines.toSpliced(random.below(lines.length), 1)),
  (text, random, corpus) =>
    onLines((lines) => {
      const others = random.pick(corpus).split('\n');
      const from = random.below(others.length);
      const taken = others.slice(from, from + 1 + random.below(4));
      return lines.toSpliced(random.below(lines.length), 0, ...taken);
    })(text, random, corpus),
  // A word or a piece of syntax comes in, anywhere or at the end of a line.
  (text, random) => insert(text, random.below(text.length + 1), random.pick(pieces)),
  onLines((lines, random) => {
    const at = random.below(lines.length);
    return lines.with(at, lines[at]! + random.pick(pieces));
  }),
  onLines((lines, random) =>
    lines.toSpliced(random.below(lines.length + 1), 0, `${random.pick(instructions)} ${random.pick(pieces)}`),
  ),
  onWords((word, random) => random.pick([word.toUpperCase(), word.toLowerCase(), `"${word}"`, `'${word}`])),
  onWords((_word, random) => random.pick(pieces)),
  onWords((word, random) => `${word}${random.pick(['=', '$', '\\', ',', ':', '/', '='])}${word}`),
  // Characters go, change, or are there many times.
  (text, random) => {
    const at = random.below(text.length + 1);
    return text.slice(0, at) + text.slice(at + 1 + random.below(8));
  },
  (text, random) => insert(text, random.below(text.length + 1), String.fromCodePoint(random.below(0x300))),
  (text, random) =>
    insert(text, random.below(text.length + 1), random.pick(pieces).repeat(random.below(300))),
  (text, random) => {
    const from = random.below(text.length + 1);
    const piece = text.slice(from, from + random.below(40));
    return insert(text, random.below(text.length + 1), piece.repeat(1 + random.below(4)));
  },
  (text, random) => text.slice(0, random.below(text.length + 1)),
  (text, random) => text + text.slice(random.below(text.length + 1)),
  (text, random) => (random.chance(0.3) ? text.replaceAll('\n', '\r\n') : `${random.pick(heads)}${text}`),
];

const flags: readonly string[] = [
  '--from=base',
  '--from=0',
  '--from=$A',
  '--link',
  '--chown=$A:1',
  '--chmod=u+x',
  '--exclude=*.md',
  '--parents',
  '--platform=$BUILDPLATFORM',
  '--platform=windows/amd64',
  '--network=none',
  '--mount=type=cache,target=/x,id=$A',
  '--mount=type=bind,from=base,source=/a,target=b',
  '--mount=type=secret,id=s,env=E,required',
];

const instructions: readonly string[] = (
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME ' +
  'WORKDIR run RNU'
).split(' ');

const heads: readonly string[] = [
  '\uFEFF',
  '#!/bin/x\n',
  '# escape=`\n',
  '# escape=\\\n',
  '# check=skip=all\n',
  '# check=error=true;experimental=all\n',
  '# check=\n',
  '# nothing=at all\n',
];

const pieces: readonly string[] = [
  '$',
  '${',
  '}',
  '${A:-',
  '${A##*/}',
  '${A%%*}',
  '${A//*?/\\}}',
  '${A:?}',
  '$A',
  '${TARGETPLATFORM}',
  '\\',
  '\\\n',
  '`',
  '`\n',
  '"',
  "'",
  '[',
  ']',
  '["a", "b"]',
  '[1]',
  '{}',
  '#',
  '\n# x\n',
  '\n\n',
  '\t',
  '\r',
  '\0',
  '\u2028',
  '\u{1F433}',
  '<<EOF',
  '<<-"EOF"',
  '\nEOF\n',
  '<<',
  '--',
  '--x',
  '--from=',
  '--from=0',
  '--from=base',
  '--chown=$A:1',
  '--chmod=u+x,g=rwX',
  '--link',
  '--parents a/./*',
  '--exclude=[',
  '--checksum=sha256:00',
  '--unpack',
  '--platform=$BUILDPLATFORM',
  '--platform=windows/amd64',
  '--network=none',
  '--security=insecure',
  '--device=a/b=c',
  '--mount=type=cache,target=/x,id=$A',
  '--mount=type=bind,from=base,source=/a,target=b',
  '--mount=type=secret,id=s,env=E,required',
  '--mount=type=ssh',
  '--mount=type=tmpfs,size=1k,target=/t',
  '--mount="',
  ',',
  '=',
  ':',
  ' AS base',
  ' as other',
  ' scratch',
  'base',
  'https://h/a.tar',
  'https://h/r.git#v1:d?x=1',
  'git@h:r',
  'C:\\x',
  '\\\\share\\x',
  '../..',
  '/',
  '80-90/udp',
  '99999',
  '0-65535',
  '-1',
  'SIGKILL',
  '1000:1000',
  '--interval=1h',
  'CMD',
  'NONE',
  '*',
  '?',
  '!',
  'check=skip=all',
];

function insert(text: string, at: number, piece: string): string {
  return text.slice(0, at) + piece + text.slice(at);
}

function onLines(change: (lines: readonly string[], random: Random) => readonly string[]): Mutation {
  return (text, random) => change(text.split('\n'), random).join('\n');
}

/** A word that does not begin a line. */
function onArguments(change: (word: string, random: Random) => string): Mutation {
  return (text, random) => {
    const words = [...text.matchAll(/(?<=\S[ \t]+)\S+/g)];
    const word = random.pick(words);
    if (!word) return text;
    return text.slice(0, word.index) + change(word[0], random) + text.slice(word.index + word[0].length);
  };
}

function onWords(change: (word: string, random: Random) => string): Mutation {
  return (text, random) => {
    const parts = text.split(/(\s+)/);
    const at = random.below(parts.length);
    return parts.with(at, change(parts[at]!, random)).join('');
  };
}
