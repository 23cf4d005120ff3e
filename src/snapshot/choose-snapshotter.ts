import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { asKilnError, KilnError } from '../base/errors.ts';
import { unmount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { openNativeSnapshotter } from './native-snapshotter.ts';
import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import type { Snapshotter } from './snapshot.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';

/** As in `buildkitd`'s `--oci-worker-snapshotter`. */
export type SnapshotterKind = 'auto' | 'overlayfs' | 'native';

/**
 * Opens a snapshotter in a directory of its own below `options.root`. `auto` takes overlayfs where it works on that
 * file system, found out by using it. Throws `failed_precondition` when overlayfs is asked for and does not work.
 */
export function chooseSnapshotter(kind: SnapshotterKind, options: SnapshotterOptions): Snapshotter {
  const at = (name: string): SnapshotterOptions => ({ ...options, root: path.join(options.root, name) });
  if (kind === 'native') return openNativeSnapshotter(at('native'));
  const problem = overlayProblem(options.root);
  if (!problem) return openOverlaySnapshotter(at('overlay'));
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
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const probe = mkdtempSync(path.join(root, 'probe-'));
  const at = (name: string) => path.join(probe, name);
  try {
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
    rmSync(probe, { recursive: true, force: true });
  }
}
