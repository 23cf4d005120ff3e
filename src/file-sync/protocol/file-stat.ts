/**
 * A file as the sync protocol describes it (fsutil's `Stat`).
 *
 * Names are bytes on Linux and need not be UTF-8, so every path, link target and attribute name here is a *byte string*: each
 * character is one byte (latin1). Byte strings compare as the bytes do, and `fsPath` makes what the file system takes.
 */
export interface FileStat {
  /** Relative, slash-separated. */
  readonly path: string;
  /** Type and permissions in the bits of Go's `os.FileMode`, see `go-mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; counts for regular files. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** Of a symbolic link its target; of a regular file the path of an earlier file that it is a hard link to. */
  readonly linkname: string;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /**
   * A number that is another one whenever something was written to the file or another took its place, also where size and time
   * stayed. Only senders of this project know it, and tell it when asked: it decides whether data is sent again, and nothing else.
   */
  readonly changeStamp?: bigint;
}

/** A byte string as the file system functions take it. */
export function fsPath(bytes: string): string | Buffer {
  for (let index = 0; index < bytes.length; index++) {
    if (bytes.charCodeAt(index) > 0x7f) return Buffer.from(bytes, 'latin1');
  }
  return bytes;
}

/** Text (UTF-16) as a byte string. */
export function byteString(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** A byte string for people, and for matching patterns: decoded as UTF-8. */
export function displayPath(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
