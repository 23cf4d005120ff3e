import { fromByteString } from '../../base/text/byte-string.ts';
import type { TarEntry, TarEntryType } from '../tar/tar-entry.ts';

/** An entry of the TOC as it is in JSON; `chunk` is the part of a file that follows the one before. */
export interface TocEntry {
  readonly name: string;
  readonly type: 'dir' | 'reg' | 'symlink' | 'hardlink' | 'char' | 'block' | 'fifo' | 'chunk';
  readonly size?: number;
  readonly modtime?: string;
  readonly linkName?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** Values in base64. */
  readonly xattrs?: Readonly<Record<string, string>>;
  /** Of the whole file. */
  digest?: string;
  /** Where the gzip member of this chunk begins in the blob. */
  readonly offset?: number;
  readonly chunkOffset?: number;
  /** Missing for the last chunk, which goes to the end of the file. */
  readonly chunkSize?: number;
  readonly chunkDigest?: string;
}

/** The name of the TOC in the archive. */
export const tocName = 'stargz.index.json';

const types: Readonly<Record<TarEntryType, TocEntry['type']>> = {
  file: 'reg',
  directory: 'dir',
  symlink: 'symlink',
  hardlink: 'hardlink',
  'character-device': 'char',
  'block-device': 'block',
  fifo: 'fifo',
};

/** What the TOC says of an entry besides its data. Zeros and empty texts are left out. */
export function tocEntryOf(entry: TarEntry): TocEntry {
  const { type, size, mode, uid, gid, mtime, linkName, deviceMajor, deviceMinor, xattrs } = entry;
  const values = [...(xattrs ?? [])].map(
    ([name, value]) => [name, Buffer.from(value, 'latin1').toString('base64')] as const,
  );
  return {
    name: fromByteString(entry.name),
    type: types[type],
    size: size || undefined,
    modtime: mtime === 0n ? undefined : timeText(mtime),
    linkName: linkName === '' ? undefined : fromByteString(linkName),
    mode: mode || undefined,
    uid: uid || undefined,
    gid: gid || undefined,
    devMajor: deviceMajor || undefined,
    devMinor: deviceMinor || undefined,
    xattrs: values.length === 0 ? undefined : Object.fromEntries(values),
  };
}

/** In UTC, as RFC 3339 has it, to the second; undefined for times that it cannot name. */
function timeText(nanoseconds: bigint): string | undefined {
  const date = new Date(Number(nanoseconds / 1_000_000_000n) * 1000);
  const text = Number.isNaN(date.getTime()) ? '' : date.toISOString();
  return /^\d{4}-/.test(text) ? `${text.slice(0, 19)}Z` : undefined;
}
