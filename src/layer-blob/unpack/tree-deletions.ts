import type { ByteString } from '../../base/text/byte-string.ts';
import { pathIn, type Tree } from '../../tree/tree.ts';
import type { Deletions } from './deletions.ts';

/** Deletions carried out at once in a tree that holds the layers below. What the layer itself brought stays. */
export class TreeDeletions implements Deletions {
  readonly #tree: Tree;
  readonly #remove: (path: ByteString) => void;
  readonly #brought = new Set<ByteString>();
  /** Directories in which only what the layer brought is left. */
  readonly #emptied = new Set<ByteString>();

  constructor(tree: Tree, remove: (path: ByteString) => void) {
    this.#tree = tree;
    this.#remove = remove;
  }

  brought(path: ByteString): void {
    this.#brought.add(path);
  }

  hide(path: ByteString): void {
    if (this.#brought.has(path)) this.hideAll(path);
    else this.#remove(path);
  }

  hideAll(directory: ByteString): void {
    // Said again, it is true already; looking each time would take squares of time.
    if (this.#emptied.has(directory)) return;
    if (this.#tree.lookup(directory)?.kind !== 'directory') return;
    this.#emptied.add(directory);
    for (const name of this.#tree.names(directory)) this.hide(pathIn(directory, name));
  }

  isDeletion(): boolean {
    return false;
  }

  undeleted(): void {}

  showsBelow(): boolean {
    return false;
  }
}
