import { type ByteString, fromByteString } from '../base/text/byte-string.ts';

/** One entry that a content checksum covers. */
export interface ContentEntry {
  /** Relative to the selected path, or to the part of it without wildcards; empty for the selected entry itself. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits, with set-user-ID, set-group-ID and sticky bit. */
  readonly mode: number;
  readonly owner: string;
  /** A file's size and digest (of what else it has, too), a link's target, a device's number; empty for directories. */
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

/** Returns where the entries begin in what tells of a checksum's entries (`entry-digests.ts`): after the version. */
export function firstEntry(told: Buffer): number {
  return told.indexOf(0) + 1;
}

const fieldsOfEntry = 6;

/** Returns where the entry that begins at `start` ends. */
export function entryEnd(told: Buffer, start: number): number {
  let at = start;
  for (let field = 0; field < fieldsOfEntry; field++) at = told.indexOf(0, at) + 1;
  return at;
}

/** Parses whole entries. */
export function parseContentEntries(entries: Buffer): readonly ContentEntry[] {
  const fields: readonly ByteString[] = entries.toString('latin1').split('\0');
  const parsed: ContentEntry[] = [];
  // The last field ends in a separator, too.
  for (let at = 0; at + fieldsOfEntry < fields.length; at += fieldsOfEntry) {
    const [path, modeText, uid, gid, xattrs, data] = fields.slice(at, at + fieldsOfEntry) as EntryFields;
    const mode = Number.parseInt(modeText, 8);
    parsed.push({
      path: fromByteString(path),
      type: types.get(mode & typeMask) ?? 'other',
      mode: mode & ~typeMask,
      owner: `${uid}:${gid}`,
      data: fromByteString(data),
      xattrs,
    });
  }
  return parsed;
}

type EntryFields = [
  path: ByteString,
  mode: string,
  uid: string,
  gid: string,
  xattrs: ByteString,
  data: ByteString,
];
