import { fromByteString } from '../../base/text/byte-string.ts';
import { type SyncEntry, unreceivable } from './sync-entry.ts';

/**
 * Checks each entry that a peer sends against what a directory walk can produce: clean relative paths, every parent
 * announced before as a directory, names within a directory in increasing byte order, hard links to files announced
 * before. An entry that passes lies below the root, and no path comes twice.
 */
export class OrderValidator {
  /** The directories from the root down to the last path, each with the last name seen in it. */
  readonly #open: { readonly path: string; last: string }[] = [{ path: '', last: '' }];
  readonly #linkable = new Set<string>();

  /** Throws `invalid_argument`. */
  check(entry: SyncEntry): void {
    const { path } = entry;
    if (path.includes('\0') || path.split('/').some((name) => name === '' || name === '.' || name === '..')) {
      throw unreceivable(path, 'it is not a clean path below the directory');
    }
    const slash = path.lastIndexOf('/');
    const dir = slash < 0 ? '' : path.slice(0, slash);
    const name = path.slice(slash + 1);
    while (this.#open.length > 1 && this.#open.at(-1)!.path !== dir) this.#open.pop();
    const parent = this.#open.at(-1)!;
    if (parent.path !== dir) throw unreceivable(path, 'its directory was not announced before it');
    if (name <= parent.last) throw unreceivable(path, `it comes after ${fromByteString(parent.last)}`);
    parent.last = name;
    if (entry.kind === 'directory') this.#open.push({ path, last: '' });
    else if (entry.kind === 'file') this.#linkable.add(path);
    else if (entry.kind === 'hard-link' && !this.#linkable.has(entry.target)) {
      const target = fromByteString(entry.target);
      throw unreceivable(path, `it is a hard link to ${target}, which was not announced as a file`);
    }
  }
}
