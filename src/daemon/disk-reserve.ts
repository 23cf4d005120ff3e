import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Enough for the database to write down what a prune removes. Bytes. */
const size = 4 << 20;
/** Free space at which setting the reserve aside hurts nobody. Bytes. */
const plenty = 16 * size;

/** A file that only takes up space, to give it back when the disk is full: removing things takes some, too. */
export class DiskReserve {
  readonly #file: string;

  /** `root` is the directory whose disk it is. */
  constructor(root: string) {
    this.#file = path.join(root, 'reserve');
  }

  /** Spends the reserve when the disk is full, sets it aside again when it is not any more. */
  adjust(): void {
    const { bavail, bsize } = statfsSync(path.dirname(this.#file));
    const free = bavail * bsize;
    if (free < size) rmSync(this.#file, { force: true });
    else if (free > plenty && !existsSync(this.#file))
      writeFileSync(this.#file, Buffer.alloc(size), { mode: 0o600 });
  }
}
