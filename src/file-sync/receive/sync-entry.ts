import { KilnError } from '../../base/errors.ts';
import { fromByteString } from '../../base/text/byte-string.ts';
import type { FileStat } from '../protocol/file-stat.ts';
import { kindOfGoMode, unixPermissions } from '../protocol/go-mode.ts';

/** What every file has, whatever it is. */
export type FileMetadata = Pick<FileStat, 'path' | 'uid' | 'gid' | 'size' | 'mtime' | 'xattrs'> & {
  /** With setuid, setgid and sticky, as the kernel has them. */
  readonly permissions: number;
};

/** A stat that a peer has sent, as the one thing that it makes. What makes files takes entries, never stats. */
export type SyncEntry = FileMetadata &
  (
    | { readonly kind: 'directory' }
    /** Its data is asked for. */
    | { readonly kind: 'file' }
    /** `target` as it is written in the link. */
    | { readonly kind: 'symlink'; readonly target: string }
    /** `target` is the path of an earlier entry, which must be a file. */
    | { readonly kind: 'hard-link'; readonly target: string }
    | { readonly kind: 'fifo' }
    | {
        readonly kind: 'character-device' | 'block-device';
        readonly devMajor: number;
        readonly devMinor: number;
      }
  );

export type EntryOf<Kind extends SyncEntry['kind']> = Extract<SyncEntry, { readonly kind: Kind }>;

const largestNumber = 0xffff_ffff;
/** Of device numbers, by makedev(3). */
const largestMajor = 0xfff;
const largestMinor = 0xf_ffff;

/**
 * The one place that decides what a stat makes. A link name counts for symbolic links and regular files only: other clients
 * send one with any file that has several names. Throws `invalid_argument`, naming the file, for what no file system has.
 */
export function entryOf(stat: FileStat): SyncEntry {
  const { path, mode, uid, gid, size, mtime, xattrs, linkname, devMajor, devMinor } = stat;
  const kind = kindOfGoMode(mode);
  if (kind === undefined) throw unreceivable(path, `no file has the mode 0x${mode.toString(16)}`);
  if (uid > largestNumber || gid > largestNumber) throw unreceivable(path, `it belongs to ${uid}:${gid}`);
  if (!Number.isSafeInteger(size)) throw unreceivable(path, `it has ${size} bytes`);
  for (const name of xattrs.keys()) {
    if (name === '' || name.includes('\0')) {
      throw unreceivable(path, `it has an attribute ${JSON.stringify(fromByteString(name))}`);
    }
  }
  const metadata: FileMetadata = { path, uid, gid, size, mtime, xattrs, permissions: unixPermissions(mode) };
  switch (kind) {
    case 'directory':
    case 'fifo':
      return { ...metadata, kind };
    case 'file':
      return linkname === '' ? { ...metadata, kind } : { ...metadata, kind: 'hard-link', target: linkname };
    case 'symlink':
      if (linkname === '' || linkname.includes('\0')) {
        throw unreceivable(path, `it is a symbolic link to ${JSON.stringify(fromByteString(linkname))}`);
      }
      return { ...metadata, kind, target: linkname };
    case 'character-device':
    case 'block-device':
      if (devMajor > largestMajor || devMinor > largestMinor) {
        throw unreceivable(path, `it is a device with the numbers ${devMajor}:${devMinor}`);
      }
      return { ...metadata, kind, devMajor, devMinor };
  }
}

export function unreceivable(path: string, why: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `file sync: ${JSON.stringify(fromByteString(path))} cannot be received: ${why}`,
  );
}
