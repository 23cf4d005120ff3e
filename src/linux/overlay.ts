import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { SystemError } from './libc.ts';
import { mount } from './mount.ts';
import { mountFlags } from './mount-flags.ts';
import { MountContext } from './mounting/mount-context.ts';

/** An overlayfs mount. Paths are absolute. */
export interface OverlayOptions {
  /** Topmost first, at least one. */
  readonly lowerDirs: readonly string[];
  /** Where changes go; without it the mount is read-only. */
  readonly upperDir?: string;
  /** An empty directory on the file system of `upperDir`, made if it is not there; needed with it. */
  readonly workDir?: string;
}

/**
 * What keeps a layer directory self-contained, whatever a kernel or its administrator have as defaults: a renamed directory is
 * copied, not redirected to another layer, and a redirect that is there all the same is not followed (`off` follows it where
 * `redirect_always_follow` is on); a changed mode copies the file; no index of origins is kept.
 */
const selfContained = [
  ['redirect_dir', 'nofollow'],
  ['metacopy', 'off'],
  ['index', 'off'],
] as const;

/** Where overlayfs notes that the upper directory was mounted `volatile`; it does not mount that again while this is there. */
const volatileMark = 'work/incompat/volatile';

/**
 * Mounts an overlay at `target`. No other function mounts overlays, so that all of them know the same marks (`tree/overlay-marks.ts`). A writable overlay
 * is mounted `volatile` (since Linux 5.10): neither fsync(2) nor unmounting flushes its files to the disk. Only a crash of the machine, not of a process, can lose files.
 *
 * With the kernel's newer mount interface (5.2; `lowerdir+` since 6.7) the number and length of the layers is limited
 * by the kernel only (500); with mount(2) their paths must fit in a page. A single lower directory without an upper one
 * is not an overlay for the kernel: bind it instead. Throws a SystemError.
 */
export function mountOverlay(options: OverlayOptions, target: string): void {
  const { workDir } = options;
  if (workDir !== undefined && mkdirSync(workDir, { recursive: true, mode: 0o700 }) === undefined) {
    rmSync(path.join(workDir, volatileMark), { recursive: true, force: true });
  }
  if (!mountStepwise(options, target)) mountAtOnce(options, target);
}

/** Returns false when the kernel or libc lacks the interface, or `lowerdir+`. */
function mountStepwise({ lowerDirs, upperDir, workDir }: OverlayOptions, target: string): boolean {
  using context = MountContext.open('overlay', target);
  if (!context) return false;
  for (const [key, value] of selfContained) context.set(key, value);
  for (const [index, dir] of lowerDirs.entries()) {
    try {
      context.set('lowerdir+', dir, dir);
    } catch (error) {
      if (index === 0 && errnoOf(error) === 'EINVAL') return false;
      throw error;
    }
  }
  if (upperDir !== undefined) {
    context.set('upperdir', upperDir, upperDir);
    context.set('workdir', workDir ?? '', workDir);
    context.setFlag('volatile');
  } else context.setFlag('ro');
  context.mount({ readonly: upperDir === undefined });
  return true;
}

function mountAtOnce({ lowerDirs, upperDir, workDir }: OverlayOptions, target: string): void {
  const escaped = (dir: string) => dir.replace(/[\\:,]/g, '\\$&');
  const data = [
    `lowerdir=${lowerDirs.map(escaped).join(':')}`,
    ...selfContained.map((pair) => pair.join('=')),
  ];
  const flags = upperDir === undefined ? mountFlags.rdonly : 0;
  const attempt = (options: readonly string[]) =>
    mount({ source: 'overlay', target, type: 'overlay', flags, data: options.join(',') });
  if (upperDir === undefined) {
    attempt(data);
    return;
  }
  data.push(`upperdir=${escaped(upperDir)}`, `workdir=${escaped(workDir ?? '')}`);
  try {
    attempt([...data, 'volatile']);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== 'EINVAL') throw error;
    // A kernel before 5.10.
    attempt(data);
  }
}
