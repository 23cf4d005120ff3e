import {
  type Aspect,
  aspects,
  type Compression,
  type ConformanceCase,
  compressions,
  type TreeEntry,
} from './conformance-case.ts';

/** Of entries that name none: long before any build. Nanoseconds since 1970. */
const defaultTime = 981_173_106_123_456_789n;

interface MutableCase {
  name: string;
  options: Record<string, string>;
  output: Record<string, string>;
  secrets: Map<string, string>;
  entitlements: string[];
  trees: Map<string, TreeEntry[]>;
  error: RegExp | undefined;
  deviations: Map<Aspect, string>;
}

/** Reads a file of cases; README.md describes the format. Throws an error that names file and line. */
export function parseCaseFile(text: string, filename: string): ConformanceCase[] {
  const cases: MutableCase[] = [];
  const lines = text.split('\n');
  let at = 0;
  const fail = (message: string) => new Error(`${filename}:${at}: ${message}`);
  while (at < lines.length) {
    const line = lines[at++]!;
    const current = cases.at(-1);
    if (line.startsWith('=== ')) {
      const name = line.slice(4).trim();
      if (cases.some((other) => other.name === name)) throw fail(`a second case ${JSON.stringify(name)}`);
      cases.push({
        name,
        options: {},
        output: {},
        secrets: new Map(),
        entitlements: [],
        trees: new Map([['context', []]]),
        error: undefined,
        deviations: new Map(),
      });
    } else if (line === '' || line.startsWith('#')) {
      // Between cases, and what a case is about.
    } else if (!current) throw fail('no case begins before this line');
    else if (line.startsWith('--- ')) {
      const start = at;
      while (at < lines.length && !/^(---|===) /.test(lines[at]!)) at++;
      const body = lines.slice(start, at);
      if ((lines[at]?.startsWith('=== ') || at === lines.length) && body.at(-1) === '') body.pop();
      addEntry(current, line.slice(4), body, fail);
    } else addDirective(current, line, fail);
  }
  return cases;
}

function addDirective(of: MutableCase, line: string, fail: (message: string) => Error): void {
  const [, keyword, rest = ''] = /^(\S+)(?: (.*))?$/.exec(line) ?? [];
  const pair = (): [string, string] => {
    const [key = '', value] = rest.split(/ = ?(.*)/s);
    if (value === undefined) throw fail(`want ${keyword} NAME = VALUE`);
    return [key, value];
  };
  switch (keyword) {
    case 'option':
      of.options = { ...of.options, ...Object.fromEntries([pair()]) };
      return;
    case 'output':
      of.output = { ...of.output, ...Object.fromEntries([pair()]) };
      return;
    case 'secret':
      of.secrets.set(...pair());
      return;
    case 'allow':
      of.entitlements.push(rest);
      return;
    case 'fails':
      of.error = new RegExp(rest, 'i');
      return;
    case 'deviation': {
      const [key, reason] = pair();
      const aspect = aspects.find((name) => name === key);
      if (!aspect || reason === '') throw fail(`want deviation ${aspects.join('|')} = REASON`);
      of.deviations.set(aspect, reason);
      return;
    }
    default:
      throw fail(`unknown directive ${keyword}`);
  }
}

/** `[@tree/]path[/]`, then `-> target` or `=> target`, then attributes. */
function addEntry(of: MutableCase, head: string, body: string[], fail: (message: string) => Error): void {
  const words = [...head.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([word, quoted]) =>
    quoted === undefined ? word : (JSON.parse(word) as string),
  );
  let path = words.shift() ?? '';
  const inTree = /^@([^/]+)\/(.*)$/s.exec(path);
  const tree = inTree?.[1] ?? 'context';
  path = inTree?.[2] ?? path;
  const entries = of.trees.get(tree) ?? [];
  of.trees.set(tree, entries);
  let siblings = entries;
  const inArchive = /^(.*?)\/\/(.*)$/s.exec(path);
  if (inArchive) {
    const archive = entries.find((entry) => entry.path === inArchive[1]);
    if (archive?.kind !== 'archive') throw fail(`there is no archive ${inArchive[1]} above`);
    siblings = archive.members as TreeEntry[];
    path = inArchive[2]!;
  }
  const common = {
    path: path.replace(/\/$/, ''),
    mode: undefined as number | undefined,
    owner: { uid: 0, gid: 0 },
    mtime: defaultTime,
    xattrs: new Map<string, string>(),
  };
  let lineEnd = '\n';
  let prefix = '';
  let lastEnd: string | undefined;
  let special: { kind: 'fifo' } | { kind: 'character-device'; major: number; minor: number } | undefined;
  let compression: Compression | undefined;
  let link: { kind: 'symlink' | 'hardlink'; target: string } | undefined;
  while (words.length > 0) {
    const word = words.shift()!;
    const [key = '', value = ''] = word.split(/=(.*)/s);
    if (word === '->') link = { kind: 'symlink', target: words.shift() ?? '' };
    else if (word === '=>') link = { kind: 'hardlink', target: words.shift() ?? '' };
    else if (/^0[0-7]+$/.test(word)) common.mode = Number.parseInt(word, 8);
    else if (word === 'crlf') lineEnd = '\r\n';
    else if (word === 'bom') prefix = '\ufeff';
    else if (word === 'no-eol') lastEnd = '';
    else if (word === 'fifo') special = { kind: 'fifo' };
    else if (key === 'char') {
      const [major = 0, minor = 0] = value.split(':').map(Number);
      special = { kind: 'character-device', major, minor };
    } else if (key === 'owner') {
      const [uid = 0, gid = 0] = value.split(':').map(Number);
      common.owner = { uid, gid };
    } else if (key === 'mtime') common.mtime = BigInt(Date.parse(value)) * 1_000_000n;
    else if (key === 'archive') {
      compression = compressions.find((name) => name === value);
      if (!compression) throw fail(`archive= wants one of ${compressions.join(', ')}`);
    } else if (key.startsWith('xattr:')) common.xattrs.set(key.slice('xattr:'.length), value);
    else throw fail(`unknown attribute ${word}`);
  }
  if (special) siblings.push({ ...common, ...special });
  else if (link) siblings.push({ ...common, ...link });
  else if (compression) siblings.push({ ...common, kind: 'archive', compression, members: [] });
  else if (path.endsWith('/')) siblings.push({ ...common, kind: 'directory' });
  else {
    const text = body.length === 0 ? '' : body.join(lineEnd) + (lastEnd ?? lineEnd);
    siblings.push({ ...common, kind: 'file', content: Buffer.from(prefix + text) });
  }
}
