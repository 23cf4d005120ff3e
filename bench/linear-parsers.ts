/**
 * Gives readers of text from outside ten times as much of what could be hard to read. What takes more than fifteen times as long is
 * named, and the program fails. Usage: node bench/linear-parsers.ts [PATTERN]
 */
import { parseCsv } from '../src/base/csv.ts';
import { GoRegexp } from '../src/base/go-regexp.ts';
import { parseGroup, parsePasswd } from '../src/base/passwd.ts';
import { matchGlob, PatternMatcher } from '../src/base/pattern.ts';
import { parsePlatform } from '../src/base/platform.ts';
import { printableText } from '../src/cli/progress/text-width.ts';
import { expandWord, noVariables } from '../src/frontend/dockerfile/expand/expand-word.ts';
import { parseDockerfile } from '../src/frontend/dockerfile/parse/parse-dockerfile.ts';
import { parseIgnoreFile } from '../src/frontend/dockerfile/to-llb/ignore-file.ts';
import { parseRecordFilter } from '../src/layer/record-filter.ts';
import { decodeDefinition } from '../src/llb/definition-wire.ts';
import { parseGitUrl } from '../src/llb/git-url.ts';
import { encodeDefinition, files, scratch, toDefinition, unmarshalDefinition } from '../src/llb/llb.ts';
import { parseReference } from '../src/oci/reference.ts';
import { parseChallenges } from '../src/registry/challenge.ts';
import { downloadName } from '../src/source/download-name.ts';
import { gitFailure } from '../src/source/git/git-failure.ts';
import { parseHttpDate } from '../src/source/http-date.ts';

const small = 50_000;
const bound = 15;
/** Milliseconds below which a measurement says nothing. */
const negligible = 200;

const dockerfile = (text: string) =>
  parseDockerfile({ filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from(text) });
const fill = (unit: string, size: number) => unit.repeat(Math.ceil(size / unit.length));
const units = [
  'a',
  ' ',
  '\t',
  '\r',
  '"',
  "'",
  '\\',
  '\\"',
  '/',
  ':',
  '=',
  ',',
  '-',
  '_',
  '.',
  '<',
  '<a',
  '[',
  '{',
  '(',
  '$',
  '${a',
  '*',
  '1',
  'a=',
  'a,b ',
  '"a",',
];

const readers: Readonly<Record<string, (text: string) => unknown>> = {
  'a RUN': (text) => dockerfile(`FROM a\nRUN ${text}\n`),
  'a COPY': (text) => dockerfile(`FROM a\nCOPY ${text} b\n`),
  'an ENV': (text) => dockerfile(`FROM a\nENV ${text}\n`),
  'a FROM': (text) => dockerfile(`FROM ${text}\n`),
  'a heredoc mark': (text) => dockerfile(`FROM a\nRUN <<${text}x\n`),
  flags: (text) => dockerfile(`FROM a\nRUN --mount=${text} ${fill('--mount=a ', text.length)} x\n`),
  'a directive': (text) => dockerfile(`# check=skip=${text}x\nFROM a\n`),
  'a word': (text) => expandWord(text, noVariables),
  '.dockerignore': (text) => new PatternMatcher(parseIgnoreFile(Buffer.from(text))),
  'a name with a pattern': (text) => matchGlob('*a*[^b]*c', text),
  'a path with patterns': (text) => new PatternMatcher(['**/*a*b', '!**/x?']).matches(text),
  'text with an expression': (text) => new GoRegexp('(a+)+(a|b)*$').matches(text),
  CSV: (text) => parseCsv(text),
  'a platform': (text) => parsePlatform(text),
  'an image name': (text) => parseReference(text),
  'a git URL': (text) => parseGitUrl(`https://a/b.git#${text}`),
  'git output': (text) => gitFailure('fetch', fill(`repository '${text.slice(0, 20)}`, text.length)),
  passwd: (text) => [parsePasswd(text), parseGroup(text)],
  'a challenge': (text) => parseChallenges(`Bearer realm="${text}`),
  'Content-Disposition': (text) => downloadName(new URL('http://a/b'), undefined, `a; filename=${text}`),
  'an HTTP date': (text) => parseHttpDate(text),
  'a filter': (text) => parseRecordFilter([`id==${text}`]),
  'a line of output': (text) => printableText(`${text}x`),
  'a definition': (text) => {
    let actions = files();
    for (let at = 0; at < text.length / 20; at++) actions = actions.mkfile(`/${at}`, 0o644, 'x');
    unmarshalDefinition(decodeDefinition(encodeDefinition(toDefinition(scratch().file(actions)))));
  },
};

/** The shortest of some rounds, however the reading ends. */
function time(read: (text: string) => unknown, text: string): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const began = performance.now();
    try {
      read(text);
    } catch {
      // What is refused is read, too.
    }
    least = Math.min(least, performance.now() - began);
  }
  return least;
}

let failed = 0;
for (const [name, read] of Object.entries(readers)) {
  if (process.argv[2] !== undefined && !name.includes(process.argv[2])) continue;
  let worst = { unit: '', factor: 0, before: 0, after: 0 };
  for (const unit of units) {
    const before = time(read, fill(unit, small));
    const after = time(read, fill(unit, small * 10));
    const factor = after < negligible ? 0 : after / before;
    if (factor >= worst.factor) worst = { unit, factor, before, after };
  }
  const isLinear = worst.factor <= bound;
  if (!isLinear) failed++;
  const figures = `${worst.before.toFixed(2)} ms, ${worst.after.toFixed(2)} ms`;
  console.log(
    `${isLinear ? 'ok  ' : 'SLOW'} ${name.padEnd(26)} ${JSON.stringify(worst.unit).padEnd(8)} ${figures}`,
  );
}
process.exitCode = failed > 0 ? 1 : 0;
