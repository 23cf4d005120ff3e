import { KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { namesOf } from '../../tree/resolve-merged.ts';
import { parentOf, pathIn } from '../../tree/tree.ts';
import type { TreeMaker } from '../../tree/tree-maker.ts';
import type { Deletions } from './deletions.ts';

/** As many as the kernel follows. */
const maximumLinks = 40;
const parentMode = 0o755;

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
    const at = (passed: readonly ByteString[]) =>
      passed.length === 0 ? root : pathIn(root, passed.join('/'));
    const pending = [...names].reverse();
    const passed: ByteString[] = [];
    let links = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '..') {
        passed.pop();
        continue;
      }
      const path = at([...passed, name]);
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
        pending.push(...namesOf(target).reverse());
        continue;
      }
      if (!found) this.#make(path, deletions?.showsBelow(parentOf(path)));
      else if (deletions?.isDeletion(found)) {
        remove(path);
        this.#make(path);
        deletions.undeleted(path);
      } else if (found.kind !== 'directory') {
        throw new KilnError(
          'invalid_argument',
          `${what} has entries below ${JSON.stringify(fromByteString([...passed, name].join('/')))}, which is not a directory`,
        );
      } else deletions?.brought(path);
      passed.push(name);
    }
    return at(passed);
  }

  #make(path: ByteString, mayBeBelow = false): void {
    const { tree, deletions, implied } = this.#options;
    tree.add(path, { kind: 'directory', metadata: { mode: parentMode } });
    deletions?.brought(path);
    if (mayBeBelow) implied(path);
  }
}
