import { constants } from 'node:fs';
import { constants as os } from 'node:os';
import { copyData } from './copy-data.ts';
import { bind, check, type PathLike, pathBytes, SystemError } from './libc.ts';
import { copyXattrs } from './xattr.ts';

const open = bind('int open(const void *path, int flags, unsigned int mode)');
const close = bind('int close(int fd)');
const read = bind('long read(int fd, void *buffer, size_t size)');
const write = bind('long write(int fd, const void *buffer, size_t size)');
const statx = bind('int statx(int dirfd, const void *path, int flags, unsigned int mask, void *answer)');
const flistxattr = bind('long flistxattr(int fd, void *list, size_t size)');
const fchown = bind('int fchown(int fd, unsigned int uid, unsigned int gid)');
const fchmod = bind('int fchmod(int fd, unsigned int mode)');
const futimens = bind('int futimens(int fd, const void *times)');

const closeOnExec = 0o2000000;
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
const readFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | closeOnExec;
const createFlags = O_WRONLY | O_CREAT | O_EXCL | closeOnExec;

const emptyPath = Buffer.of(0);
const atEmptyPath = 0x1000;
const basicStats = 0x7ff;
const typeMask = 0o170000;
const regular = 0o100000;
const permissions = 0o7777;
/** Above this many bytes files are copied in the kernel, which shares blocks and keeps holes; below, that costs more than it saves. */
const smallFile = 65_536;

/** Reused by the synchronous calls of this thread: `struct statx` as numbers of three sizes, `struct timespec[2]`, the data of a small file. */
const words = new Uint32Array(64);
const halves = new Uint16Array(words.buffer);
const doubles = new BigInt64Array(words.buffer);
const times = new BigInt64Array(4);
const data = Buffer.allocUnsafeSlow(smallFile);
const second = 1_000_000_000n;

/** What a copy gets instead of what its source has. */
export interface CopyChanges {
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** The permission bits (07777), given those of the source and whether that is a directory. */
  readonly mode?: (mode: number, isDirectory: boolean) => number;
  /** Access and modification time, in nanoseconds since 1970. */
  readonly timestamp?: bigint;
}

/** A regular file open for reading. */
export class SourceFile implements Disposable {
  readonly #path: PathLike;
  readonly #descriptor: number;
  readonly #mode: number;
  readonly #uid: number;
  readonly #gid: number;
  readonly #size: number;
  /** Seconds and nanoseconds of the access, then of the modification time. */
  readonly #times: readonly [bigint, number, bigint, number];
  /** Which file this is, where it has several names. */
  readonly identity: string | undefined;

  /** A link is not followed. Throws a SystemError, `EINVAL` for what is no regular file. */
  constructor(path: PathLike) {
    this.#path = path;
    this.#descriptor = check(open(pathBytes(path), readFlags, 0), 'open', path);
    try {
      readStats(this.#descriptor, path);
      const mode = modeIn();
      if ((mode & typeMask) !== regular) throw new SystemError('open', os.errno.EINVAL, path);
      this.#mode = mode & permissions;
      this.#uid = uidIn();
      this.#gid = gidIn();
      this.#size = Number(doubles[5]);
      this.#times = [doubles[8]!, words[18]!, doubles[14]!, words[30]!];
      this.identity = words[4]! > 1 ? `${words[34]}:${words[35]}:${doubles[4]}` : undefined;
    } catch (error) {
      close(this.#descriptor);
      throw error;
    }
  }

  /**
   * Makes a file with the same data, owner, mode, times and extended attributes, but for those that `skipsXattr` names and for what
   * `changes` says. Blocks are shared where the file system can. Throws a SystemError, `EEXIST` where something has the name.
   */
  copyTo(target: PathLike, changes: CopyChanges, skipsXattr: (name: string) => boolean): void {
    const mode = changes.mode ? changes.mode(this.#mode, false) : this.#mode;
    const { uid, gid } = changes.owner ?? { uid: this.#uid, gid: this.#gid };
    const file = check(open(pathBytes(target), createFlags, mode & 0o777), 'open', target);
    try {
      this.#copyData(file, target);
      // Most of it is right from the start. What is made here says where it is not: an umask, a set-group-id directory, a default ACL.
      readStats(file, target);
      const isOwned = uidIn() === uid && gidIn() === gid;
      let isPermitted = (modeIn() & permissions) === mode;
      if (!isOwned) {
        check(fchown(file, uid, gid), 'fchown', target);
        isPermitted = false;
      }
      if (hasXattrs(this.#descriptor)) {
        copyXattrs(this.#path, target, skipsXattr);
        // An access control list has a mode in it.
        isPermitted = false;
      }
      if (!isPermitted) check(fchmod(file, mode), 'fchmod', target);
      this.#setTimes(changes.timestamp);
      check(futimens(file, times), 'futimens', target);
    } finally {
      close(file);
    }
  }

  #copyData(file: number, target: PathLike): void {
    if (this.#size >= smallFile) {
      copyData(this.#descriptor, file, this.#size);
      return;
    }
    for (let copied = 0; copied < this.#size; ) {
      const length = check(read(this.#descriptor, data, data.length), 'read', this.#path);
      if (length === 0) return;
      let rest = data.subarray(0, length);
      while (rest.length > 0) rest = rest.subarray(check(write(file, rest, rest.length), 'write', target));
      copied += length;
    }
  }

  #setTimes(timestamp: bigint | undefined): void {
    if (timestamp === undefined) {
      const [accessSeconds, accessRest, seconds, rest] = this.#times;
      times[0] = accessSeconds;
      times[1] = BigInt(accessRest);
      times[2] = seconds;
      times[3] = BigInt(rest);
      return;
    }
    const rest = ((timestamp % second) + second) % second;
    times[0] = times[2] = (timestamp - rest) / second;
    times[1] = times[3] = rest;
  }

  [Symbol.dispose](): void {
    close(this.#descriptor);
  }
}

function readStats(file: number, path: PathLike): void {
  check(statx(file, emptyPath, atEmptyPath, basicStats, words), 'statx', path);
}

function modeIn(): number {
  return halves[14]!;
}

function uidIn(): number {
  return words[5]!;
}

function gidIn(): number {
  return words[6]!;
}

/** False also where the file system has no such thing. */
function hasXattrs(file: number): boolean {
  return flistxattr(file, null, 0) > 0;
}
