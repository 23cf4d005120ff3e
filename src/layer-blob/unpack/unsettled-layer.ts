import { deserialize, serialize } from 'node:v8';
import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import { type MergedDirectory, treeBelow } from '../../tree/merged-directory.ts';
import { parentOf, pathIn } from '../../tree/tree.ts';
import type { EntryMetadata, LayerMaker } from '../../tree/tree-maker.ts';

/** What is left to do for a layer that was unpacked when nothing was known of the layers below it. */
export interface UnsettledLayer {
  /** Directories that the layer did not describe before something was put into them, and what it said of them later. */
  readonly implied: readonly (readonly [path: ByteString, described: ImpliedDirectory])[];
  /** Names that the layer deletes. */
  readonly whiteouts: readonly ByteString[];
  /** Modification times of directories, in nanoseconds since 1970. */
  readonly times: readonly (readonly [path: ByteString, mtime: bigint])[];
}

export interface ImpliedDirectory {
  readonly metadata?: EntryMetadata;
}

/** As bytes, which pass through other threads as they are. */
export function packUnsettled(layer: UnsettledLayer): Uint8Array {
  return serialize(layer);
}

export function unpackUnsettled(bytes: Uint8Array): UnsettledLayer {
  return deserialize(bytes) as UnsettledLayer;
}

/** Completes a layer. `below`: the directories of the layers below, topmost first; with none, there is nothing to tell. */
export function settleLayer(layer: LayerMaker, unsettled: UnsettledLayer, below: readonly string[]): void {
  const times = new Map(unsettled.times);
  const tree = below.length > 0 ? treeBelow(below.map(toByteString)) : undefined;
  if (tree) {
    for (const [path, { metadata }] of unsettled.implied) {
      const mtime = likeBelow(layer, path, metadata, tree);
      if (mtime !== undefined && !metadata) times.set(path, mtime);
    }
    for (const path of unsettled.whiteouts) removeIfVain(layer, path, tree);
  }
  for (const [path, mtime] of times) {
    layer.setMetadata(path, { times: { access: mtime, modification: mtime } });
  }
}

/** Gives a directory what the layers below say of it, unless the layer itself says something else. Returns its modification time below. */
function likeBelow(
  layer: LayerMaker,
  path: ByteString,
  described: EntryMetadata | undefined,
  tree: MergedDirectory,
): bigint | undefined {
  const above = directoryBelow(tree, parentOf(path));
  const found = above?.lookup(path.slice(path.lastIndexOf('/') + 1));
  if (!found?.directory) return undefined;
  const isOpaque = layer.isOpaque(path);
  layer.copyAccess(path, found);
  if (isOpaque) layer.makeOpaque(path);
  if (described) layer.setMetadata(path, described);
  return found.stats.mtimeNs;
}

function directoryBelow(tree: MergedDirectory, path: ByteString): MergedDirectory | undefined {
  let directory: MergedDirectory | undefined = tree;
  for (const name of namesIn(path)) directory = directory?.lookup(name)?.directory;
  return directory;
}

/** Where no layer below has the directory, there is nothing to delete, and overlayfs would list the name without being able to open it. */
function removeIfVain(layer: LayerMaker, path: ByteString, tree: MergedDirectory): void {
  // Something else may be in the place of the directory by now: a file, or a link that leads elsewhere.
  if (shownIn(layer, parentOf(path), tree) !== 'nothing') return;
  if (layer.lookup(path)?.kind === 'whiteout') layer.remove(path);
}

/** What shows through in a directory of the layer. `elsewhere`: the layer has no such directory. */
function shownIn(
  layer: LayerMaker,
  path: ByteString,
  tree: MergedDirectory,
): MergedDirectory | 'nothing' | 'elsewhere' {
  let shown: MergedDirectory | undefined = tree;
  let at = '';
  for (const name of namesIn(path)) {
    at = pathIn(at, name);
    if (layer.lookup(at)?.kind !== 'directory') return 'elsewhere';
    shown = shown?.lookup(name)?.directory;
    if (shown && layer.isOpaque(at)) shown = undefined;
  }
  return shown ?? 'nothing';
}

function namesIn(path: ByteString): readonly ByteString[] {
  return path === '' ? [] : path.split('/');
}
