import { closeSync, mkdirSync, openSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../../src/base/errors.ts';
import { mustRun } from './run-program.ts';
import { WorkDirectory } from './work-directory.ts';

export interface SmallDiskOptions {
  /** Percentage of the blocks that only root can use; none by default. */
  readonly reservedBlocks?: number;
  /** How many files there can be. */
  readonly inodes?: number;
}

/** A disk of its own with ext4, of a given number of megabytes, mounted at `path` until it is disposed. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;
  readonly #work: WorkDirectory;

  private constructor(mountPoint: string, work: WorkDirectory) {
    this.path = mountPoint;
    this.#work = work;
  }

  static async make(megabytes: number, options: SmallDiskOptions = {}): Promise<SmallDisk> {
    const work = new WorkDirectory();
    const image = work.at('disk.img');
    const mountPoint = work.at('disk');
    mkdirSync(mountPoint);
    await mustRun('truncate', ['-s', `${megabytes}M`, image]);
    const { reservedBlocks = 0, inodes } = options;
    const count = inodes === undefined ? [] : ['-N', `${inodes}`];
    await mustRun('mkfs.ext4', ['-q', '-m', `${reservedBlocks}`, ...count, '-F', image]);
    await mustRun('mount', ['-o', 'loop', image, mountPoint]);
    return new SmallDisk(mountPoint, work);
  }

  at(...names: readonly string[]): string {
    return path.join(this.path, ...names);
  }

  /** Takes every byte that is free, as root, with those that are kept for root. */
  fill(name: string): void {
    const fd = openSync(this.at(name), 'a');
    try {
      for (let size = 1 << 20; size > 0; ) {
        try {
          writeSync(fd, Buffer.alloc(size, 'x'));
        } catch (error) {
          if (errnoOf(error) !== 'ENOSPC') throw error;
          size >>= 1;
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Takes every inode that is free, by empty files in a directory. */
  fillInodes(name: string): void {
    if (statfsSync(this.path).ffree === 0) return;
    mkdirSync(this.at(name));
    for (let count = 0; statfsSync(this.path).ffree > 0; count++)
      closeSync(openSync(this.at(name, `${count}`), 'wx'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await mustRun('umount', [this.path]);
    this.#work[Symbol.dispose]();
  }
}
