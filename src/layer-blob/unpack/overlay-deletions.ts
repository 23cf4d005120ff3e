import type { ByteString } from '../../base/text/byte-string.ts';
import { type FoundEntry, pathIn } from '../../tree/tree.ts';
import type { LayerMaker } from '../../tree/tree-maker.ts';
import type { Deletions } from './deletions.ts';

/** Deletions as marks in a layer of an overlay. Whether there is something to delete is not known yet. */
export class OverlayDeletions implements Deletions {
  readonly #layer: LayerMaker;
  readonly #whiteouts = new Set<ByteString>();

  constructor(layer: LayerMaker) {
    this.#layer = layer;
  }

  get whiteouts(): ReadonlySet<ByteString> {
    return this.#whiteouts;
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

  showsBelow(directory: ByteString): boolean {
    let at = '';
    for (const name of directory === '' ? [] : directory.split('/')) {
      at = pathIn(at, name);
      if (this.#layer.isOpaque(at)) return false;
    }
    return true;
  }
}
