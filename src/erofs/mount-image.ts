import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { asKilnError, KilnError } from '../base/errors.ts';
import { unmount } from '../linux/mount.ts';
import { type LoopDevice, openLoopDevice } from '../linux/mounting/loop-device.ts';
import { MountContext } from '../linux/mounting/mount-context.ts';
import { ErofsTreeMaker } from './erofs-tree-maker.ts';

/**
 * How this machine mounts images. `file`: from the file itself (Linux 6.12, where it is built so), of which no file can be opened with O_DIRECT; `loop`: by a
 * loop device for each file.
 */
export type ImageMounts = 'file' | 'loop';

/** Mounts an image at `target`, read-only. `devices`: the files that its files refer to, in the order in which they were named. Throws a SystemError. */
export function mountImage(
  image: string,
  target: string,
  { by, devices = [] }: { readonly by: ImageMounts; readonly devices?: readonly string[] },
): void {
  if (by === 'file') {
    mountSources(image, devices, target);
    return;
  }
  const opened: LoopDevice[] = [];
  try {
    for (const file of [image, ...devices]) opened.push(openLoopDevice(file));
    const [first, ...others] = opened.map((device) => device.path);
    mountSources(first!, others, target);
  } finally {
    for (const device of opened) device[Symbol.dispose]();
  }
}

/** Finds out how images can be mounted here, by mounting one. Throws `unimplemented` where they cannot, with the reason of each way. */
export function probeImageMounts(): ImageMounts {
  const directory = mkdtempSync(path.join(tmpdir(), 'kiln-image-'));
  const reasons: string[] = [];
  try {
    const image = path.join(directory, 'image');
    using maker = new ErofsTreeMaker(image);
    maker.finish();
    for (const by of ['file', 'loop'] as const) {
      try {
        mountImage(image, directory, { by });
        unmount(directory);
        return by;
      } catch (error) {
        reasons.push(`${by}: ${asKilnError(error).message}`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  throw new KilnError('unimplemented', `EROFS images cannot be mounted here (${reasons.join('; ')})`);
}

function mountSources(image: string, devices: readonly string[], target: string): void {
  using context = MountContext.open('erofs', target);
  if (!context) throw new KilnError('unimplemented', 'this kernel does not have fsopen(2)');
  context.set('source', image, image);
  for (const device of devices) context.set('device', device, device);
  context.setFlag('ro');
  context.mount({ readonly: true });
}
