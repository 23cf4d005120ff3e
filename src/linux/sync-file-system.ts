import { closeSync, openSync } from 'node:fs';
import { bind, type NativeFunction, SystemError } from './libc.ts';

/** A bound function as koffi gives it: `async` makes the call in a thread of libuv's pool. */
interface AsyncFunction extends NativeFunction {
  async(fd: number, callback: (error: Error | null, result: number) => void): void;
}

const syncfs = bind('int syncfs(int fd)') as AsyncFunction;
const ioError = 5;

/** syncfs(2): resolves when everything written so far to the file system of `path` is on its disk. */
export async function syncFileSystem(path: string): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    const result = await new Promise<number>((resolve, reject) => {
      syncfs.async(fd, (error, value) => (error ? reject(error) : resolve(value)));
    });
    // The other thread's errno is out of reach; with a good descriptor only the disk can be at fault.
    if (result === -1) throw new SystemError('syncfs', ioError, path);
  } finally {
    closeSync(fd);
  }
}
