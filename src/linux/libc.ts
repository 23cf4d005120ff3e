import { constants } from 'node:os';
import koffi from 'koffi';

/** A path as the kernel takes it: text (UTF-8), or bytes for names that are not UTF-8. Must not contain a zero byte. */
export type PathLike = string | Buffer;

/** A library function bound through FFI. Calls block the calling thread. */
export type NativeFunction = (...args: unknown[]) => number;

/** The process itself: Node is linked with its libc, whichever that is. */
const libc = koffi.load(null);

/**
 * What locks inside V8 leave in errno when they have to wait, between the return of a call and the reading of its errno. No function
 * that is bound fails for good with one of these, except one that does not want to wait.
 */
const strayErrnos: ReadonlySet<number> = new Set([constants.errno.EAGAIN, constants.errno.ETIMEDOUT]);
/** How often a call that failed is made again to learn why. */
const attempts = 4;
/** Belongs to the thread, as errno itself. */
let failure = 0;

/**
 * Binds a libc function by its C prototype. Paths are declared `const void *` and passed through `pathBytes`. A function that fails
 * without a reason of its own is called again.
 */
export function bind(prototype: string): NativeFunction {
  const call = libc.func(prototype) as NativeFunction & { readonly async: unknown };
  const native: NativeFunction = (...args) => {
    let result = call(...args);
    for (let attempt = 1; result === -1; attempt++) {
      failure = koffi.errno();
      if (!strayErrnos.has(failure) || attempt === attempts) break;
      result = call(...args);
    }
    return result;
  };
  return Object.assign(native, { async: call.async });
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

/** Where the bytes are, for a structure that points to them. Keep `bytes` until the call that takes the structure has returned. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
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

/** The errno of the last bound call of this thread that returned -1. */
export function lastErrno(): number {
  return failure;
}

/** Returns `result`. When it is -1, throws a SystemError with the errno of the call that was just made. */
export function check(result: number, syscall: string, path?: PathLike): number {
  if (result === -1) throw new SystemError(syscall, lastErrno(), path);
  return result;
}
