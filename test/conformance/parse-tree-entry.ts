import { compressions, defaultTime, type EntryAttributes, type TreeEntry } from './conformance-case.ts';

type Kind = TreeEntry extends infer Entry
  ? Entry extends TreeEntry
    ? Omit<Entry, keyof EntryAttributes>
    : never
  : never;

/** An entry, and where it belongs. */
export interface PlacedEntry {
  readonly tree: string;
  /** The archive in that tree that it is a member of. */
  readonly archive: string | undefined;
  readonly entry: TreeEntry;
}

/** How the text below an entry becomes the content of a file. */
interface TextForm {
  readonly start: string;
  readonly lineEnd: string;
  readonly lastEnd: string;
}

/** Reads `[@tree/][archive//]path[/] [-> target | => target] [attribute…]`, with the lines below it. */
export function parseTreeEntry(head: string, body: readonly string[]): PlacedEntry {
  const [name = '', ...words] = splitWords(head);
  const [, tree = 'context', inTree = ''] = /^(?:@([^/]+)\/)?(.*)$/s.exec(name) ?? [];
  const [, archive, path = ''] = /^(?:(.*?)\/\/)?(.*)$/s.exec(inTree) ?? [];
  let attributes: EntryAttributes = {
    path: path.replace(/\/$/, ''),
    mode: undefined,
    owner: { uid: 0, gid: 0 },
    mtime: defaultTime,
    xattrs: new Map(),
  };
  let text: TextForm = { start: '', lineEnd: '\n', lastEnd: '\n' };
  let kind: Kind | undefined = path.endsWith('/') ? { kind: 'directory' } : undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    const [key = '', value = ''] = word.split(/=(.*)/s);
    if (word === '->') kind = { kind: 'symlink', target: words[++index] ?? '' };
    else if (word === '=>') kind = { kind: 'hardlink', target: words[++index] ?? '' };
    else if (/^0[0-7]+$/.test(word)) attributes = { ...attributes, mode: Number.parseInt(word, 8) };
    else {
      switch (key) {
        case 'crlf':
          text = { ...text, lineEnd: '\r\n', lastEnd: '\r\n' };
          break;
        case 'bom':
          text = { ...text, start: '\ufeff' };
          break;
        case 'no-eol':
          text = { ...text, lastEnd: '' };
          break;
        case 'fifo':
          kind = { kind: 'fifo' };
          break;
        case 'char': {
          const [major, minor] = numberPair(value);
          kind = { kind: 'character-device', major, minor };
          break;
        }
        case 'archive': {
          const compression = compressions.find((known) => known === value);
          if (!compression) throw new Error(`archive= wants one of ${compressions.join(', ')}`);
          kind = { kind: 'archive', compression, members: [] };
          break;
        }
        case 'owner': {
          const [uid, gid] = numberPair(value);
          attributes = { ...attributes, owner: { uid, gid } };
          break;
        }
        case 'mtime':
          attributes = { ...attributes, mtime: BigInt(Date.parse(value)) * 1_000_000n };
          break;
        case 'xattr': {
          const [attribute = '', content = ''] = value.split(/:(.*)/s);
          attributes = { ...attributes, xattrs: new Map([...attributes.xattrs, [attribute, content]]) };
          break;
        }
        default:
          throw new Error(`unknown attribute ${word}`);
      }
    }
  }
  kind ??= { kind: 'file', content: contentOf(body, text) };
  return { tree, archive, entry: { ...attributes, ...kind } };
}

function splitWords(head: string): string[] {
  return [...head.matchAll(/"(?:[^"\\]|\\.)*"|\S+/g)].map(([word]) =>
    word.startsWith('"') ? (JSON.parse(word) as string) : word,
  );
}

function numberPair(text: string): readonly [number, number] {
  const [first = 0, second = 0] = text.split(':').map(Number);
  return [first, second];
}

function contentOf(body: readonly string[], { start, lineEnd, lastEnd }: TextForm): Uint8Array {
  return Buffer.from(start + (body.length === 0 ? '' : body.join(lineEnd) + lastEnd));
}
