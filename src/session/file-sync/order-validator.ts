import { KilnError } from '../../base/errors.ts';
import { displayPath, type FileStat } from './file-stat.ts';
import { hasData, kindOfGoMode } from './go-mode.ts';

/**
 * Checks each stat that a peer sends against what a directory walk can produce: clean relative paths, every parent
 * announced before as a directory, names within a directory in increasing byte order, hard links to files announced
 * before. What passes names nothing outside the root, and nothing twice.
 */
export class OrderValidator {
  /** The directories from the root down to the last path, each with the last name seen in it. */
  readonly #open: { readonly path: string; last: string }[] = [{ path: '', last: '' }];
  readonly #linkable = new Set<string>();

  /** Throws `invalid_argument`. */
  check(stat: FileStat): void {
    const { path } = stat;
    if (path.includes('\0') || path.split('/').some((name) => name === '' || name === '.' || name === '..')) {
      throw invalid(path, 'it is not a clean path below the directory');
    }
    const slash = path.lastIndexOf('/');
    const dir = slash < 0 ? '' : path.slice(0, slash);
    const name = path.slice(slash + 1);
    while (this.#open.length > 1 && this.#open.at(-1)!.path !== dir) this.#open.pop();
    const parent = this.#open.at(-1)!;
    if (parent.path !== dir) throw invalid(path, 'its directory was not announced before it');
    if (name <= parent.last) throw invalid(path, `it comes after ${displayPath(parent.last)}`);
    parent.last = name;
    if (kindOfGoMode(stat.mode) === 'directory') this.#open.push({ path, last: '' });
    else if (hasData(stat.mode)) {
      if (stat.linkname === '') this.#linkable.add(path);
      else if (!this.#linkable.has(stat.linkname)) {
        throw invalid(path, `it is a hard link to ${displayPath(stat.linkname)}, which was not announced`);
      }
    }
  }
}

function invalid(path: string, why: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `file sync: ${JSON.stringify(displayPath(path))} cannot be received: ${why}`,
  );
}
