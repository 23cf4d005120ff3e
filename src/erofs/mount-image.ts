import { KilnError } from '../base/errors.ts';
import { type LoopDevice, openLoopDevice } from '../linux/mounting/loop-device.ts';
import { MountContext } from '../linux/mounting/mount-context.ts';

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

function mountSources(image: string, devices: readonly string[], target: string): void {
  using context = MountContext.open('erofs', target);
  if (!context) throw new KilnError('unimplemented', 'this kernel does not have fsopen(2)');
  context.set('source', image, image);
  for (const device of devices) context.set('device', device, device);
  context.setFlag('ro');
  context.mount({ readonly: true });
}
