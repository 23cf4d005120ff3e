import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { asKilnError, KilnError } from '../base/errors.ts';
import { unmount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { openNativeSnapshotter } from './native-snapshotter.ts';
import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import type { Snapshotter } from './snapshot.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';

/** As in `buildkitd`'s `--oci-worker-snapshotter`; `erofs` is overlayfs with layers that are images, where the machine can mount these. */
export type SnapshotterKind = 'auto' | 'overlayfs' | 'erofs' | 'native';

/**
 * Opens a snapshotter in a directory of its own below `options.root`. `auto` takes overlayfs where it works on that
 * file system, found out by using it when the root is new: one that has trees in overlayfs form stays with them, even on
 * a disk too full to try. Throws `failed_precondition` when overlayfs is asked for and does not work,
 * `resource_exhausted` when the disk is too full to find out.
 */
export function chooseSnapshotter(kind: SnapshotterKind, options: SnapshotterOptions): Snapshotter {
  const at = (name: string): SnapshotterOptions => ({ ...options, root: path.join(options.root, name) });
  if (kind === 'native') return openNativeSnapshotter(at('native'));
  const problem = existsSync(at('overlay').root) ? undefined : overlayProblem(options.root);
  if (problem?.code === 'resource_exhausted') throw problem.wrap(`cannot try overlayfs in ${options.root}`);
  if (!problem) return openOverlaySnapshotter({ ...at('overlay'), makesImages: kind === 'erofs' });
  if (kind === 'auto') return openNativeSnapshotter(at('native'));
  throw new KilnError(
    'failed_precondition',
    `overlayfs does not work in ${options.root}: ${problem.message}`,
    {
      cause: problem,
      hint: 'put the root on a local file system such as ext4 or xfs, or choose the native snapshotter',
    },
  );
}

/** Why overlayfs cannot be used in `root`; undefined when it can. */
function overlayProblem(root: string): KilnError | undefined {
  let probe: string | undefined;
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const dir = mkdtempSync(path.join(root, 'probe-'));
    probe = dir;
    const at = (name: string) => path.join(dir, name);
    for (const name of ['lower', 'base', 'upper', 'work', 'merged']) mkdirSync(at(name));
    writeFileSync(at('lower/file'), '');
    mountOverlay(
      { lowerDirs: [at('lower'), at('base')], upperDir: at('upper'), workDir: at('work') },
      at('merged'),
    );
    try {
      rmSync(at('merged/file'));
    } finally {
      unmount(at('merged'));
    }
    if (!existsSync(at('upper/file'))) return new KilnError('internal', 'a deletion left no whiteout');
    return undefined;
  } catch (error) {
    return asKilnError(error);
  } finally {
    if (probe !== undefined) rmSync(probe, { recursive: true, force: true });
  }
}
