/**
 * Gives readers of text from outside ten times as much of what could be hard to read. What takes more than fifteen times as long is
 * named, and the program fails. Usage: node bench/linear-parsers.ts [PATTERN]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { GoRegexp } from '../src/base/pattern/go-regexp.ts';
import { matchGlob, PatternMatcher } from '../src/base/pattern/pattern.ts';
import { parsePlatform } from '../src/base/platform.ts';
import { parseCsv } from '../src/base/text/csv.ts';
import { parseGroup, parsePasswd } from '../src/base/text/passwd.ts';
import { listMounts } from '../src/cache-mounts/read-index.task.ts';
import { printableText } from '../src/cli/progress/text-width.ts';
import { readRegistryLogin } from '../src/client-services/docker-config.ts';
import { ReadOnlyAgent } from '../src/client-services/read-only-agent.ts';
import { readConfig } from '../src/daemon/config/config-file.ts';
import { parseYaml } from '../src/executor/cdi/parse-yaml.ts';
import { expandWord, noVariables } from '../src/frontend/dockerfile/expand/expand-word.ts';
import { ShellPattern } from '../src/frontend/dockerfile/expand/shell-pattern.ts';
import { parseDockerfile } from '../src/frontend/dockerfile/parse/parse-dockerfile.ts';
import { parseIgnoreFile } from '../src/frontend/dockerfile/to-llb/values/ignore-file.ts';
import { TarParser } from '../src/layer-blob/tar/tar-parser.ts';
import { parseGitUrl } from '../src/llb/git-url.ts';
import { encodeDefinition, files, scratch, toDefinition, unmarshalDefinition } from '../src/llb/llb.ts';
import { decodeDefinition } from '../src/llb/wire/definition-wire.ts';
import { parseImageConfig } from '../src/oci/image-config.ts';
import { parseManifest } from '../src/oci/manifest.ts';
import { parseReference } from '../src/oci/reference.ts';
import { parseRecordFilter } from '../src/ref/usage/record-filter.ts';
import { parseChallenges } from '../src/registry/auth/challenge.ts';
import { nextPage } from '../src/registry/referrers.ts';
import { gitFailure } from '../src/source/git/git-failure.ts';
import { downloadName } from '../src/source/http/download-name.ts';
import { parseHttpDate } from '../src/source/http/http-date.ts';

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
  '\x1b]',
];

const directory = mkdtempSync(path.join(tmpdir(), 'kiln-readers-'));
process.on('exit', () => rmSync(directory, { recursive: true }));

/** What `text` is when it is in a file. */
function inFile(name: string, text: string): string {
  writeFileSync(path.join(directory, name), text);
  return path.join(directory, name);
}

/** Hands an archive to the parser of tar. */
function readTar(...parts: readonly Uint8Array[]): void {
  const parser = new TarParser({ entry() {}, data() {}, hole() {}, entryEnd() {} });
  for (const part of parts) parser.write(part);
}

/** A tar header of an entry of `size` bytes, and what fills its last block. */
function tarEntry(flag: string, data: Uint8Array, name = 'x'): Buffer {
  const header = Buffer.alloc(512);
  header.write(name);
  header.write('0000644\0', 100);
  header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write(flag, 156);
  header.write('ustar\x0000', 257);
  header.fill(' ', 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0`,
    148,
  );
  return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length;
  return `${length}${rest}`;
}

const readers: Readonly<Record<string, (text: string) => unknown>> = {
  'a RUN': (text) => dockerfile(`FROM a\nRUN ${text}\n`),
  'a COPY': (text) => dockerfile(`FROM a\nCOPY ${text} b\n`),
  'an ENV': (text) => dockerfile(`FROM a\nENV ${text}\n`),
  'a FROM': (text) => dockerfile(`FROM ${text}\n`),
  'a heredoc mark': (text) => dockerfile(`FROM a\nRUN <<${text}x\n`),
  flags: (text) => dockerfile(`FROM a\nRUN --mount=${text} ${fill('--mount=a ', text.length)} x\n`),
  'a directive': (text) => dockerfile(`# check=skip=${text}x\nFROM a\n`),
  'a word': (text) => expandWord(text, noVariables),
  'a value with a pattern': (text) => new ShellPattern('*a*?b*c').replace(text, 'x', true),
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
  'the schemes of challenges': parseChallenges,
  'a link to the next page': (text) =>
    nextPage({ headers: { link: `<${text}` }, url: new URL('http://registry/') }),
  'Content-Disposition': (text) => downloadName(new URL('http://a/b'), undefined, `a; filename=${text}`),
  'an HTTP date': (text) => parseHttpDate(text),
  'a filter': (text) => parseRecordFilter([`id==${text}`]),
  'a line of output': (text) => printableText(`${text}x`),
  'tar headers': (text) =>
    readTar(...Array(Math.ceil(text.length / 100)).fill(tarEntry('0', Buffer.alloc(0), text.slice(0, 90)))),
  'a pax header': (text) =>
    readTar(tarEntry('x', Buffer.from(paxRecord('path', text))), tarEntry('0', Buffer.alloc(0))),
  'pax records': (text) =>
    readTar(
      tarEntry(
        'x',
        Buffer.from(Array.from({ length: text.length / 20 }, (_, at) => paxRecord(`a${at}`, 'x')).join('')),
      ),
      tarEntry('0', Buffer.alloc(0)),
    ),
  'a sparse map': (text) =>
    readTar(
      tarEntry('x', Buffer.from(`${paxRecord('GNU.sparse.major', '0')}${paxRecord('GNU.sparse.map', text)}`)),
      tarEntry('0', Buffer.alloc(0)),
    ),
  'a long name': (text) => readTar(tarEntry('L', Buffer.from(text)), tarEntry('0', Buffer.alloc(0))),
  'a manifest': (text) =>
    parseManifest(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: text,
          manifests: Array(Math.ceil(text.length / 100)).fill({ digest: text.slice(0, 90), size: 1 }),
        }),
      ),
      'it',
    ),
  'an index of cache mounts': (text) => {
    const packs = Array.from({ length: text.length / 100 }, (_, at) => ({
      digest: `sha256:${at.toString(16).padStart(64, '0')}`,
      size: 1,
      hashes: 'b'.repeat(64),
      lengths: [1],
    }));
    const mounts = packs.map((_, at) => ({ id: `${at}`, takenAt: 1, entries: [] }));
    listMounts(zstdCompressSync(JSON.stringify({ version: 1, packs, mounts })));
  },
  'an image config': (text) =>
    parseImageConfig(
      Buffer.from(
        JSON.stringify({
          os: text,
          architecture: text,
          config: { Env: Array(Math.ceil(text.length / 20)).fill(text.slice(0, 19)) },
          rootfs: { diff_ids: [] },
        }),
      ),
      'it',
    ),
  'buildkitd.toml': (text) => readConfig({ files: [inFile('toml', `root = "${text}`)], named: true }),
  'tables in buildkitd.toml': (text) =>
    readConfig({
      files: [
        inFile(
          'toml',
          Array.from({ length: text.length / 20 }, (_, at) => `[registry."r${at}"]\nhttp = true\n`).join(''),
        ),
      ],
      named: true,
    }),
  'CDI YAML': (text) =>
    parseYaml(`kind: ${JSON.stringify(text)}\ndevices:\n${fill('- name: b\n', text.length / 5)}`),
  "Docker's config": (text) =>
    readRegistryLogin(
      path.dirname(
        inFile(
          'config.json',
          JSON.stringify({
            auths: { a: { auth: Buffer.from(`u:${text}\0x`).toString('base64') }, [text]: {} },
          }),
        ),
      ),
      'a',
    ),
  'a password that ends in zero bytes': (text) =>
    readRegistryLogin(
      path.dirname(
        inFile(
          'config.json',
          JSON.stringify({
            auths: { a: { auth: Buffer.from(`u:${text.replaceAll(/./gs, '\0')}x`).toString('base64') } },
          }),
        ),
      ),
      'a',
    ),
  'requests to an SSH agent': (text) => {
    const agent = new ReadOnlyAgent(new Socket());
    agent.resume();
    for (let at = 0; at < text.length; at += 5) agent.write(Buffer.of(0, 0, 0, 1, 17));
  },
  'a definition': (text) => {
    let actions = files();
    for (let at = 0; at < text.length / 20; at++) actions = actions.mkfile(`/${at}`, 0o644, 'x');
    unmarshalDefinition(decodeDefinition(encodeDefinition(toDefinition(scratch().file(actions)))));
  },
};

/** Milliseconds that this thread works, in the shortest of some rounds, however the reading ends. */
async function time(read: (text: string) => unknown, text: string, rounds: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.threadCpuUsage();
    try {
      await read(text);
    } catch {
      // What is refused is read, too.
    }
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

interface Growth {
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  readonly factor: number;
}

/** What ten times as much costs. Where it is too much of a moment's work, what counts is what ten times as much as that costs. */
async function growthOf(read: (text: string) => unknown, unit: string): Promise<Growth> {
  let size = small;
  let before = await time(read, fill(unit, size), 3);
  for (;;) {
    const after = await time(read, fill(unit, size * 10), 3);
    const factor = after < negligible ? 0 : after / before;
    // Little input fits into caches and young generations: that it takes less for each byte says nothing.
    if (factor <= bound || before >= negligible) return { unit, before, after, factor };
    size *= 10;
    before = after;
  }
}

let failed = 0;
for (const [name, read] of Object.entries(readers)) {
  if (process.argv[2] !== undefined && !name.includes(process.argv[2])) continue;
  let worst: Growth = { unit: '', factor: 0, before: 0, after: 0 };
  for (const unit of units) {
    const growth = await growthOf(read, unit);
    if (growth.factor >= worst.factor) worst = growth;
  }
  const isLinear = worst.factor <= bound;
  if (!isLinear) failed++;
  const figures = `${worst.before.toFixed(2)} ms, ${worst.after.toFixed(2)} ms`;
  console.log(
    `${isLinear ? 'ok  ' : 'SLOW'} ${name.padEnd(26)} ${JSON.stringify(worst.unit).padEnd(8)} ${figures}`,
  );
}
process.exitCode = failed > 0 ? 1 : 0;
