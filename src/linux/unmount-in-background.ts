import { bind, type NativeFunction, type PathLike, pathBytes } from './libc.ts';
import { unmount } from './mount.ts';

/** A bound function as koffi gives it: `async` makes the call in a thread of libuv's pool. */
interface AsyncFunction extends NativeFunction {
  async(...args: [...unknown[], callback: (error: Error | null, result: number) => void]): void;
}

const umount2 = bind('int umount2(const void *target, int flags)') as AsyncFunction;
const detachAndNoFollow = 0x2 | 0x8;

/**
 * `unmount` off the event loop: ending an overlay mount waits until the file system below has written its dirty pages,
 * which can take seconds.
 */
export async function unmountInBackground(target: PathLike): Promise<void> {
  const result = await new Promise<number>((resolve, reject) => {
    umount2.async(pathBytes(target), detachAndNoFollow, (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
  // The other thread's errno is out of reach: the same call here says what is wrong.
  if (result === -1) unmount(target);
}
