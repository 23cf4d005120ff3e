import { type ByteString, fromByteString } from '../base/text/byte-string.ts';

/** One entry that a content checksum covers. */
export interface ContentEntry {
  /** Relative to the selected path, or to the part of it without wildcards; empty for the selected entry itself. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits, with set-user-ID, set-group-ID and sticky bit. */
  readonly mode: number;
  readonly owner: string;
  /** A file's size and digest, a link's target, a device's number; empty for directories. */
  readonly data: string;
  readonly xattrs: string;
}

export type EntryType = 'file' | 'directory' | 'link' | 'other';

const typeMask = 0o170000;
const types: ReadonlyMap<number, EntryType> = new Map([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'link'],
]);

/** Returns where the entries begin in what a content checksum hashed (`checksum-tree.ts`): after the version. */
export function firstEntry(hashed: Buffer): number {
  return hashed.indexOf(0) + 1;
}

/** Returns where the entry that begins at `start` ends. */
export function entryEnd(hashed: Buffer, start: number): number {
  let at = hashed.indexOf(0, start) + 1;
  const modeEnd = hashed.indexOf(0, at);
  const mode = Number.parseInt(hashed.toString('latin1', at, modeEnd), 8);
  at = modeEnd + 1;
  const fields = types.get(mode & typeMask) === 'file' ? 5 : 3;
  for (let field = 0; field < fields; field++) at = hashed.indexOf(0, at) + 1;
  return at;
}

/** Parses whole entries of what a content checksum hashed. */
export function parseContentEntries(entries: Buffer): readonly ContentEntry[] {
  const fields: readonly ByteString[] = entries.toString('latin1').split('\0');
  const parsed: ContentEntry[] = [];
  let at = 0;
  const next = () => fields[at++]!;
  // The last field ends in a separator, too.
  while (at < fields.length - 1) {
    const path = fromByteString(next());
    const mode = Number.parseInt(next(), 8);
    const owner = `${next()}:${next()}`;
    const type = types.get(mode & typeMask) ?? 'other';
    const head = { path, type, mode: mode & ~typeMask, owner };
    switch (type) {
      case 'file': {
        const size = next();
        const xattrs = next();
        parsed.push({ ...head, data: `${size} ${next()}`, xattrs });
        break;
      }
      case 'directory':
        parsed.push({ ...head, data: '', xattrs: next() });
        break;
      case 'link':
      case 'other':
        parsed.push({ ...head, data: fromByteString(next()), xattrs: '' });
        break;
    }
  }
  return parsed;
}
