import { type Aspect, aspects, type ConformanceCase, type TreeEntry } from './conformance-case.ts';
import { parseTreeEntry } from './parse-tree-entry.ts';

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

function addEntry(of: MutableCase, head: string, body: string[], fail: (message: string) => Error): void {
  const { tree, archive, entry } = parsed(() => parseTreeEntry(head, body), fail);
  const entries = of.trees.get(tree) ?? [];
  of.trees.set(tree, entries);
  if (archive === undefined) {
    entries.push(entry);
    return;
  }
  const index = entries.findIndex((other) => other.kind === 'archive' && other.path === archive);
  const parent = entries[index];
  if (parent?.kind !== 'archive') throw fail(`there is no archive ${archive} above`);
  entries[index] = { ...parent, members: [...parent.members, entry] };
}

function parsed<T>(parse: () => T, fail: (message: string) => Error): T {
  try {
    return parse();
  } catch (error) {
    throw fail((error as Error).message);
  }
}
