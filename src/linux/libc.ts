import { constants } from 'node:os';
import koffi from 'koffi';

/** A path as the kernel takes it: text (UTF-8), or bytes for names that are not UTF-8. Must not contain a zero byte. */
export type PathLike = string | Buffer;

/** A library function bound through FFI. Calls block the calling thread. */
export type NativeFunction = (...args: unknown[]) => number;

/** The process itself: Node is linked with its libc, whichever that is. */
const libc = koffi.load(null);

/** Binds a libc function by its C prototype. Paths are declared `const void *` and passed through `pathBytes`. */
export function bind(prototype: string): NativeFunction {
  return libc.func(prototype) as NativeFunction;
}

/** Whether this libc has the function (older ones lack the newer system call wrappers). */
export function bindIfPresent(prototype: string): NativeFunction | undefined {
  try {
    return bind(prototype);
  } catch {
    return undefined;
  }
}

/** `path` as the bytes of a C string. */
export function pathBytes(path: PathLike): Buffer {
  return typeof path === 'string' ? Buffer.from(`${path}\0`) : Buffer.concat([path, Buffer.of(0)]);
}

const errnoNames: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/** A failed system call, in the shape of Node's own: `code` is the errno name, so that `errnoOf` and `asKilnError` know it. */
export class SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(syscall: string, errno: number, path?: PathLike) {
    const code = errnoNames.get(errno) ?? `E${errno}`;
    const shown = path === undefined ? undefined : path.toString();
    super(`${code}: ${syscall}${shown === undefined ? '' : ` '${shown}'`}`);
    this.name = 'SystemError';
    this.code = code;
    this.errno = -errno;
    this.syscall = syscall;
    this.path = shown;
  }
}

/** The errno of the last bound call of this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Returns `result`. When it is -1, throws a SystemError with the errno of the call that was just made. */
export function check(result: number, syscall: string, path?: PathLike): number {
  if (result === -1) throw new SystemError(syscall, lastErrno(), path);
  return result;
}
