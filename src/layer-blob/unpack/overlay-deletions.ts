import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import { type MergedDirectory, type MergedEntry, treeBelow } from '../../tree/merged-directory.ts';
import { type FoundEntry, parentOf, pathIn } from '../../tree/tree.ts';
import type { LayerMaker } from '../../tree/tree-maker.ts';
import type { Deletions } from './deletions.ts';

/** Deletions as marks in a layer of an overlay. */
export class OverlayDeletions implements Deletions {
  readonly #layer: LayerMaker;
  readonly #below: MergedDirectory | undefined;
  readonly #whiteouts = new Set<ByteString>();

  /** `below`: the directories of the layers below, topmost first. */
  constructor(layer: LayerMaker, below: readonly string[]) {
    this.#layer = layer;
    this.#below = below.length > 0 ? treeBelow(below.map(toByteString)) : undefined;
  }

  brought(): void {}

  hide(path: ByteString): void {
    const found = this.#layer.lookup(path);
    if (!found) {
      this.#layer.addWhiteout(path);
      this.#whiteouts.add(path);
    } else if (found.kind === 'directory') this.#layer.makeOpaque(path);
  }

  hideAll(directory: ByteString): void {
    this.#layer.makeOpaque(directory);
  }

  isDeletion({ kind }: FoundEntry): boolean {
    return kind === 'whiteout';
  }

  /** What was deleted must not show through. */
  undeleted(directory: ByteString): void {
    this.#layer.makeOpaque(directory);
  }

  shownBelow(path: ByteString): MergedEntry | undefined {
    const shown = this.#directoryBelow(parentOf(path));
    return typeof shown === 'string' ? undefined : shown.lookup(path.slice(path.lastIndexOf('/') + 1));
  }

  /** Where no layer below has the directory, there is nothing to delete, and overlayfs would list the name without being able to open it. */
  finish(): void {
    if (!this.#below) return;
    for (const path of this.#whiteouts) {
      // Something else may be in the place of the directory by now: a file, or a link that leads elsewhere.
      if (this.#directoryBelow(parentOf(path)) !== 'nothing') continue;
      if (this.#layer.lookup(path)?.kind === 'whiteout') this.#layer.remove(path);
    }
  }

  /** What shows through in a directory of the layer. `elsewhere`: the layer has no such directory. */
  #directoryBelow(path: ByteString): MergedDirectory | 'nothing' | 'elsewhere' {
    let shown = this.#below;
    let at = '';
    for (const name of path === '' ? [] : path.split('/')) {
      at = pathIn(at, name);
      if (this.#layer.lookup(at)?.kind !== 'directory') return 'elsewhere';
      shown = shown?.lookup(name)?.directory;
      if (shown && this.#layer.isOpaque(at)) shown = undefined;
    }
    return shown ?? 'nothing';
  }
}
