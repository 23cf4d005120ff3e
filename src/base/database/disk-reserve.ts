import { mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Enough for the database to be opened, and to write down what a prune removes. Bytes, and names. */
const fileCount = 8;
const fileSize = 512 << 10;
/** Free space for so many of them: setting the reserve aside hurts nobody then. */
const plenty = 4 * fileCount;

/** A directory of files that only take up space and inodes, to give them back when the disk has none: removing things takes some, too. */
export class DiskReserve {
  readonly #dir: string;

  /** `root` is the directory whose disk it is. */
  constructor(root: string) {
    this.#dir = path.join(root, 'reserve');
  }

  /** Spends the reserve when the disk is full, sets it aside again when it is not any more. */
  adjust(): void {
    const { bavail, bsize, files, ffree } = statfsSync(path.dirname(this.#dir));
    // Some file systems have as many files as fit.
    const free = Math.min((bavail * bsize) / fileSize, files === 0 ? Number.POSITIVE_INFINITY : ffree);
    if (free < fileCount) this.spend();
    else if (free > plenty) this.setAside();
  }

  /** Gives everything back; whoever comes first takes it. */
  spend(): void {
    for (const file of this.#files()) rmSync(file, { force: true });
  }

  /** Takes as much of it as there is. */
  setAside(): void {
    try {
      mkdirSync(this.#dir, { mode: 0o700, recursive: true });
      for (const file of this.#files()) {
        if (statSync(file, { throwIfNoEntry: false })?.size === fileSize) continue;
        writeFileSync(file, Buffer.alloc(fileSize), { mode: 0o600 });
      }
    } catch {
      // More than there is. The file that was begun is of use, too.
    }
  }

  #files(): string[] {
    return Array.from({ length: fileCount }, (_, index) => path.join(this.#dir, `${index}`));
  }
}
