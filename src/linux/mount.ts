import { constants } from 'node:os';
import { bind, check, lastErrno, type PathLike, pathBytes, SystemError } from './libc.ts';
import { mountFlags } from './mount-flags.ts';

const libcMount = bind(
  'int mount(const void *source, const void *target, const void *type, unsigned long flags, const void *data)',
);
const umount2 = bind('int umount2(const void *target, int flags)');

const detachFlag = 0x2;
const noFollowFlag = 0x8;
const { EINVAL, ENOENT } = constants.errno;

export interface MountOptions {
  readonly source: PathLike;
  readonly target: PathLike;
  readonly type?: string;
  /** Of `mountFlags`, or-ed. */
  readonly flags?: number;
  /** The file system's own options, comma separated; at most a page. */
  readonly data?: PathLike;
}

/** mount(2). Throws a SystemError. */
export function mount({ source, target, type, flags = 0, data }: MountOptions): void {
  const result = libcMount(
    pathBytes(source),
    pathBytes(target),
    type === undefined ? null : pathBytes(type),
    flags,
    data === undefined ? null : pathBytes(data),
  );
  check(result, 'mount', target);
}

/** Makes `source` visible at `target` too. Making it read-only takes the kernel a second step, done here. */
export function bindMount(
  source: PathLike,
  target: PathLike,
  options: { readonly readonly?: boolean; readonly recursive?: boolean } = {},
): void {
  const recursive = options.recursive ? mountFlags.rec : 0;
  mount({ source, target, flags: mountFlags.bind | recursive });
  if (!options.readonly) return;
  try {
    mount({ source, target, flags: mountFlags.bind | mountFlags.remount | mountFlags.rdonly | recursive });
  } catch (error) {
    unmount(target);
    throw error;
  }
}

/**
 * Unmounts what is mounted last at `target`; no error when nothing is. `detach` (the default) hides it at once and
 * lets the kernel end it when its last open file is closed.
 */
export function unmount(target: PathLike, options: { readonly detach?: boolean } = {}): void {
  const flags = noFollowFlag | (options.detach === false ? 0 : detachFlag);
  if (umount2(pathBytes(target), flags) === 0) return;
  const errno = lastErrno();
  if (errno !== EINVAL && errno !== ENOENT) throw new SystemError('umount2', errno, target);
}
