import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { asKilnError, KilnError } from '../base/errors.ts';
import { unmount } from '../linux/mount.ts';
import { ErofsTreeMaker } from './erofs-tree-maker.ts';
import { type ImageMounts, mountImage } from './mount-image.ts';

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

/** Whether they can. */
export function canMountImages(): boolean {
  try {
    probeImageMounts();
    return true;
  } catch (error) {
    if (error instanceof KilnError && error.code === 'unimplemented') return false;
    throw error;
  }
}
