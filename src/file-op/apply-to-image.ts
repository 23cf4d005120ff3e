import { lstatSync, rmSync } from 'node:fs';
import { toByteString } from '../base/text/byte-string.ts';
import { DirectoryTree } from '../tree/directory-tree.ts';
import { pathIn } from '../tree/tree.ts';
import { applyChange } from './apply-change.ts';
import type { PreparedAction, UnmountedLayer } from './file-op.ts';
import { LayerTarget, sourcesOf } from './layer-target.ts';

/** A layer with fewer entries is not worth an image, which has to be mounted whenever it is needed. */
const fewest = 500;

/**
 * Applies actions to a layer by making an image of it, where that is worth it. Returns false when nothing was done: the actions are few or small, one of them needs to see
 * the tree through a mount, or one failed, which it will say again.
 */
export async function applyToImage(
  actions: readonly PreparedAction[],
  { dir, lowerDirs, image }: UnmountedLayer,
  throwIfAborted: () => void,
): Promise<boolean> {
  if (image === undefined || !isLarge(actions)) return false;
  const { ErofsTreeMaker } = await import('../erofs/erofs-tree-maker.ts');
  let isDone = false;
  try {
    using tree = new ErofsTreeMaker(image);
    tree.copyRootFromLayer({ path: toByteString(dir), stats: lstatSync(dir, { bigint: true }) });
    const target = new LayerTarget(tree, lowerDirs);
    for (const action of actions) {
      throwIfAborted();
      const next = target.prepare(action);
      if (next === 'mount') return false;
      if (next === 'apply') await applyChange(action, tree, throwIfAborted);
    }
    tree.finish();
    isDone = true;
  } catch {
    throwIfAborted();
  } finally {
    if (!isDone) rmSync(image, { force: true });
  }
  return isDone;
}

/** Counts what is copied as if all of it were, whatever is left out by patterns. */
function isLarge(actions: readonly PreparedAction[]): boolean {
  let count = 0;
  for (const { source, change } of actions) {
    if (!source || change.kind !== 'copy' || change.unpackArchive) continue;
    const from = new DirectoryTree(toByteString(source.path));
    const waiting = sourcesOf(change, from).map(({ file }) => file);
    for (let at = waiting.pop(); at !== undefined && count < fewest; at = waiting.pop()) {
      count++;
      if (from.lookup(at)?.kind !== 'directory') continue;
      for (const name of from.names(at)) waiting.push(pathIn(at, name));
    }
  }
  return count >= fewest;
}
