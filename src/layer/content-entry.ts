import { type ByteString, fromByteString } from './byte-path.ts';

/** One entry that a content checksum covers. */
export interface ContentEntry {
  /** Below the selected thing, or below the part of its path without wildcards; empty for the selected thing itself. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits, with those for set-user-ID and the like. */
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

/** Reads what a content checksum hashed (`checksum-tree.ts`): the version, then the fields of each entry. */
export function parseContentEntries(hashed: Uint8Array): readonly ContentEntry[] {
  const text = Buffer.from(hashed.buffer, hashed.byteOffset, hashed.byteLength).toString('latin1');
  const fields: readonly ByteString[] = text.split('\0');
  const entries: ContentEntry[] = [];
  let at = 1;
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
        entries.push({ ...head, data: `${size} ${next()}`, xattrs });
        break;
      }
      case 'directory':
        entries.push({ ...head, data: '', xattrs: next() });
        break;
      case 'link':
      case 'other':
        entries.push({ ...head, data: fromByteString(next()), xattrs: '' });
        break;
    }
  }
  return entries;
}
