import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { unmount } from '../../linux/mount.ts';
import { ErofsTreeMaker } from '../erofs-tree-maker.ts';
import { type ImageMounts, mountImage } from '../mount-image.ts';
import { probeImageMounts } from '../probe-image-mounts.ts';
import type { ErofsTreeOptions } from '../write/image-tree.ts';

/** All ways in which this machine mounts images: each is tried, the second only where the machine has loop devices. */
export function imageMounts(): readonly ImageMounts[] {
  const first = probeImageMounts();
  return first === 'file' && existsSync('/dev/loop-control') ? ['file', 'loop'] : [first];
}

/** Makes an image, and returns its file. It is in order if `fsck.erofs` can tell: that knows blocks of 4096 bytes only. */
export function makeImage(
  directory: string,
  make: (maker: ErofsTreeMaker) => void,
  options: ErofsTreeOptions = {},
): string {
  const image = path.join(directory, 'image');
  using maker = new ErofsTreeMaker(image, options);
  make(maker);
  maker.finish();
  if (options.blockSize !== 512 && !options.devices) checkImage(image);
  return image;
}

/** Fails if `fsck.erofs` does, which takes a place on its stack for each directory that it is in. */
export function checkImage(image: string): void {
  execFileSync('sh', ['-c', 'ulimit -s unlimited; exec fsck.erofs "$0"', image], { stdio: 'pipe' });
}

/** Shows an image, mounted, to `look`. */
export function withMounted<T>(
  image: string,
  look: (root: string) => T,
  options: { readonly by?: ImageMounts; readonly devices?: readonly string[] } = {},
): T {
  const root = `${image}.mounted`;
  mkdirSync(root, { recursive: true });
  mountImage(image, root, { by: probeImageMounts(), ...options });
  try {
    return look(root);
  } finally {
    unmount(root);
  }
}
