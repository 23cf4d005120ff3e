import { deserialize, serialize } from 'node:v8';
import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import { type MergedDirectory, treeBelow } from '../../tree/merged-directory.ts';
import { parentOf } from '../../tree/tree.ts';
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

/** As bytes, for a file. */
export function packUnsettled(layer: UnsettledLayer): Uint8Array {
  return serialize(layer);
}

export function unpackUnsettled(bytes: Uint8Array): UnsettledLayer {
  return deserialize(bytes) as UnsettledLayer;
}

/** Completes a layer. `below`: the directories of the layers below, topmost first; with none, there is nothing to tell. */
export function settleLayer(layer: LayerMaker, unsettled: UnsettledLayer, below: readonly string[]): void {
  const times = new Map(unsettled.times);
  if (below.length > 0) {
    const settling = new Settling(layer, treeBelow(below.map(toByteString)));
    for (const [path, { metadata }] of unsettled.implied) {
      const mtime = settling.likeBelow(path, metadata);
      if (mtime !== undefined && !metadata) times.set(path, mtime);
    }
    for (const path of unsettled.whiteouts) settling.removeIfVain(path);
  }
  for (const [path, mtime] of times) {
    layer.setMetadata(path, { times: { access: mtime, modification: mtime } });
  }
}

/** A layer and what is below it. Directories are looked up once: from the root to each entry, it would take squares of the depth. */
class Settling {
  readonly #layer: LayerMaker;
  readonly #directoryBelow: (path: ByteString) => MergedDirectory | undefined;
  readonly #shownIn: (path: ByteString) => Shown;

  constructor(layer: LayerMaker, tree: MergedDirectory) {
    this.#layer = layer;
    this.#directoryBelow = onceEach((path) =>
      path === '' ? tree : this.#directoryBelow(parentOf(path))?.lookup(nameOf(path))?.directory,
    );
    this.#shownIn = onceEach((path) => {
      if (path === '') return 'below';
      const above = this.#shownIn(parentOf(path));
      if (above === 'elsewhere' || layer.lookup(path)?.kind !== 'directory') return 'elsewhere';
      const shows = above === 'below' && this.#directoryBelow(path) && !layer.isOpaque(path);
      return shows ? 'below' : 'nothing';
    });
  }

  /** Gives a directory what the layers below say of it, unless the layer itself says something else. Returns its modification time below. */
  likeBelow(path: ByteString, described: EntryMetadata | undefined): bigint | undefined {
    const layer = this.#layer;
    const found = this.#directoryBelow(parentOf(path))?.lookup(nameOf(path));
    if (!found?.directory) return undefined;
    const isOpaque = layer.isOpaque(path);
    layer.copyAccess(path, found);
    if (isOpaque) layer.makeOpaque(path);
    if (described) layer.setMetadata(path, described);
    return found.stats.mtimeNs;
  }

  /** Where no layer below has the directory, there is nothing to delete, and overlayfs would list the name without being able to open it. */
  removeIfVain(path: ByteString): void {
    // Something else may be in the place of the directory by now: a file, or a link that leads elsewhere.
    if (this.#shownIn(parentOf(path)) !== 'nothing') return;
    if (this.#layer.lookup(path)?.kind === 'whiteout') this.#layer.remove(path);
  }
}

/** What shows through in a directory of the layer. `elsewhere`: the layer has no such directory. */
type Shown = 'below' | 'nothing' | 'elsewhere';

/** `find`, which is asked for each path once. */
function onceEach<Found>(find: (path: ByteString) => Found): (path: ByteString) => Found {
  const known = new Map<ByteString, Found>();
  return (path) => {
    if (!known.has(path)) known.set(path, find(path));
    return known.get(path)!;
  };
}

function nameOf(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1);
}
