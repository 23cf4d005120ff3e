import type { ByteString } from '../../base/text/byte-string.ts';

export type TarEntryType =
  | 'file'
  | 'hardlink'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'directory'
  | 'fifo';

/** One member of a tar archive. */
export interface TarEntry {
  /** Relative, with `/` between names; a directory's may end in one. */
  readonly name: ByteString;
  readonly type: TarEntryType;
  /** Permission, setuid, setgid and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of data that follow; zero for all types but `file`. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** The target of a link (for a hard link, the name of an earlier entry); empty for other types. */
  readonly linkName: ByteString;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Extended attributes by name. */
  readonly xattrs?: ReadonlyMap<string, ByteString>;
  /** More records for its pax header, by key. Written only: what is read has none. */
  readonly records?: ReadonlyMap<string, ByteString>;
}

/** The fields of an entry that has nothing but a name and a type. */
export const emptyEntry = {
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0n,
  linkName: '',
  deviceMajor: 0,
  deviceMinor: 0,
} as const;

/** The type flags of POSIX.1-2001 pax, the ones that can be written. */
export const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
};

export const blockSize = 512;
export const xattrKeyPrefix = 'SCHILY.xattr.';
