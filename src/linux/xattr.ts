import { constants } from 'node:os';
import { bind, check, lastErrno, type PathLike, pathBytes, SystemError } from './libc.ts';

const llistxattr = bind('long llistxattr(const void *path, void *list, size_t size)');
const lgetxattr = bind('long lgetxattr(const void *path, const char *name, void *value, size_t size)');
const lsetxattr = bind(
  'int lsetxattr(const void *path, const char *name, const void *value, size_t size, int flags)',
);
const lremovexattr = bind('int lremovexattr(const void *path, const char *name)');

const { ENODATA, ENOTSUP, EOPNOTSUPP, EPERM, ERANGE } = constants.errno;
/** The kernel's XATTR_LIST_MAX and XATTR_SIZE_MAX. */
const maximum = 65_536;
/** Reused by the synchronous calls of this thread; never handed out. */
const scratch = Buffer.allocUnsafeSlow(1024);

/** Calls `read` with the small shared buffer, and once more with the largest when that is too small. */
function readWith(read: (buffer: Buffer) => number): { readonly size: number; readonly buffer: Buffer } {
  const size = read(scratch);
  if (size !== -1 || lastErrno() !== ERANGE) return { size, buffer: scratch };
  const large = Buffer.allocUnsafe(maximum);
  return { size: read(large), buffer: large };
}

/** The names of the extended attributes; none where the file system has no such thing. Links are not followed. */
export function listXattrs(path: PathLike): string[] {
  const file = pathBytes(path);
  const { size, buffer } = readWith((list) => llistxattr(file, list, list.length));
  if (size === -1) {
    const errno = lastErrno();
    if (errno === ENOTSUP || errno === EOPNOTSUPP) return [];
    throw new SystemError('llistxattr', errno, path);
  }
  if (size === 0) return [];
  return buffer.toString('utf8', 0, size - 1).split('\0');
}

/** The value of one attribute, or undefined when the file does not have it. Links are not followed. */
export function getXattr(path: PathLike, name: string): Buffer | undefined {
  const file = pathBytes(path);
  const { size, buffer } = readWith((value) => lgetxattr(file, name, value, value.length));
  if (size === -1) {
    const errno = lastErrno();
    if (errno === ENODATA || errno === ENOTSUP || errno === EOPNOTSUPP) return undefined;
    throw new SystemError('lgetxattr', errno, path);
  }
  return Buffer.from(buffer.subarray(0, size));
}

/** Creates or replaces an attribute. Links are not followed. Throws EINVAL for a name with a zero byte, of which the kernel would see the beginning. */
export function setXattr(path: PathLike, name: string, value: Uint8Array): void {
  if (name.includes('\0')) throw new SystemError('lsetxattr', constants.errno.EINVAL, path);
  check(lsetxattr(pathBytes(path), name, value, value.length, 0), 'lsetxattr', path);
}

/** Removing what is not there is no error. Links are not followed. */
export function removeXattr(path: PathLike, name: string): void {
  if (lremovexattr(pathBytes(path), name) === 0) return;
  const errno = lastErrno();
  if (errno !== ENODATA) throw new SystemError('lremovexattr', errno, path);
}

/** Gives `target` the attributes of `source` but those that `skips` names; what the target's file system cannot hold is left out. */
export function copyXattrs(source: PathLike, target: PathLike, skips: (name: string) => boolean): void {
  for (const name of listXattrs(source)) {
    const value = skips(name) ? undefined : getXattr(source, name);
    if (value === undefined) continue;
    if (lsetxattr(pathBytes(target), name, value, value.length, 0) === 0) continue;
    const errno = lastErrno();
    if (errno !== ENOTSUP && errno !== EOPNOTSUPP && errno !== EPERM)
      throw new SystemError('lsetxattr', errno, target);
  }
}
