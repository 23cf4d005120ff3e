import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { mustRun } from './run-program.ts';
import { WorkDirectory } from './work-directory.ts';

/** A disk of its own with ext4, of a given number of megabytes, mounted at `path` until it is disposed. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;
  readonly #work: WorkDirectory;

  private constructor(mountPoint: string, work: WorkDirectory) {
    this.path = mountPoint;
    this.#work = work;
  }

  static async make(megabytes: number): Promise<SmallDisk> {
    const work = new WorkDirectory();
    const image = work.at('disk.img');
    const mountPoint = work.at('disk');
    mkdirSync(mountPoint);
    await mustRun('truncate', ['-s', `${megabytes}M`, image]);
    await mustRun('mkfs.ext4', ['-q', '-m', '0', '-F', image]);
    await mustRun('mount', ['-o', 'loop', image, mountPoint]);
    return new SmallDisk(mountPoint, work);
  }

  at(...names: readonly string[]): string {
    return path.join(this.path, ...names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await mustRun('umount', [this.path]);
    this.#work[Symbol.dispose]();
  }
}
