import type { ByteString } from '../../base/text/byte-string.ts';

/** A file as the sync protocol describes it (fsutil's `Stat`). */
export interface FileStat {
  /** Relative, slash-separated. */
  readonly path: ByteString;
  /** Type and permissions in the bits of Go's `os.FileMode`, see `go-mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; counts for regular files. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** Of a symbolic link its target; of a regular file the path of an earlier file that it is a hard link to. */
  readonly linkname: ByteString;
  readonly devMajor: number;
  readonly devMinor: number;
  /** By name. */
  readonly xattrs: ReadonlyMap<ByteString, Uint8Array>;
  /**
   * A number that changes whenever the file is written to or replaced, even if size and time stay the same. Only senders of this project know it, and
   * send it when asked. It decides whether data is sent again, and nothing else.
   */
  readonly changeStamp?: bigint;
}
