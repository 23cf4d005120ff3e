import { KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { namesOf } from '../../tree/resolve-merged.ts';
import { pathIn } from '../../tree/tree.ts';
import type { EntryMetadata, TreeMaker } from '../../tree/tree-maker.ts';
import type { Deletions } from './deletions.ts';

/** As many as the kernel follows. */
const maximumLinks = 40;
/** Not of the group of a directory that passes its group on: what is in the layers below must not matter. */
const parentMetadata: EntryMetadata = { owner: { uid: 0, gid: 0 }, mode: 0o755 };

export interface ParentDirectoriesOptions {
  readonly tree: TreeMaker;
  /** The directory of the tree that names cannot lead out of. */
  readonly root: ByteString;
  /** What is unpacked, for messages. */
  readonly what: 'archive' | 'layer';
  readonly deletions: Deletions | undefined;
  readonly remove: (path: ByteString) => void;
  /** Told of each directory that was made and may be in the layers below: it is to be like there. */
  readonly implied: (path: ByteString) => void;
}

/**
 * Finds the directories that entries go into. `..` stops at the root, and symbolic links are followed as if it were that of the file system. Missing
 * directories are made with mode 0755 for root.
 */
export class ParentDirectories {
  readonly #options: ParentDirectoriesOptions;
  /** Where names resolved to, joined by `/`. */
  readonly #resolved = new Map<ByteString, ByteString>();

  constructor(options: ParentDirectoriesOptions) {
    this.#options = options;
  }

  /** The path of the directory that these names lead to from the root. Throws `invalid_argument` when they lead to none. */
  resolve(names: readonly ByteString[]): ByteString {
    if (names.length === 0) return this.#options.root;
    const key = names.join('/');
    const known = this.#resolved.get(key);
    if (known !== undefined) return known;
    const resolved = this.#walk(names);
    this.#resolved.set(key, resolved);
    return resolved;
  }

  /** To be called when a directory or a link was removed. */
  forget(): void {
    this.#resolved.clear();
  }

  #walk(names: readonly ByteString[]): ByteString {
    const { tree, root, what, deletions, remove } = this.#options;
    const pending = [...names].reverse();
    /** The directories on the way, each in the one before it. */
    const passed: ByteString[] = [];
    /** Whether the last of them shows what is below it, once somebody wanted to know. */
    let showsBelow: boolean | undefined;
    let links = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const directory = passed.at(-1) ?? root;
      if (name === '..') {
        passed.pop();
        showsBelow = undefined;
        continue;
      }
      const path = pathIn(directory, name);
      const found = tree.lookup(path);
      if (found?.kind === 'symlink') {
        if (++links > maximumLinks) {
          throw new KilnError(
            'invalid_argument',
            `${what} path ${JSON.stringify(fromByteString(names.join('/')))} leads through too many symbolic links`,
          );
        }
        const target = tree.readLink(path);
        if (target.startsWith('/')) passed.length = 0;
        showsBelow = undefined;
        pending.push(...namesOf(target).reverse());
        continue;
      }
      if (!found) {
        showsBelow ??= deletions?.showsBelow(directory);
        this.#make(path, showsBelow);
      } else if (deletions?.isDeletion(found)) {
        remove(path);
        this.#make(path);
        deletions.undeleted(path);
        showsBelow = false;
      } else if (found.kind !== 'directory') {
        const inRoot = root === '' ? path : path.slice(root.length + 1);
        throw new KilnError(
          'invalid_argument',
          `${what} has entries below ${JSON.stringify(fromByteString(inRoot))}, which is not a directory`,
        );
      } else {
        deletions?.brought(path);
        showsBelow = undefined;
      }
      passed.push(path);
    }
    return passed.at(-1) ?? root;
  }

  #make(path: ByteString, mayBeBelow = false): void {
    const { tree, deletions, implied } = this.#options;
    tree.add(path, { kind: 'directory', metadata: parentMetadata });
    deletions?.brought(path);
    if (mayBeBelow) implied(path);
  }
}
