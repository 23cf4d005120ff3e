import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../base/errors.ts';
import type { ThreadPool } from '../base/thread-pool.ts';

/**
 * Removes trees of any size at once: they are renamed into a directory of their own, and deleted there in a thread.
 * What a killed process left there is deleted by the next.
 */
export class Trash implements AsyncDisposable {
  readonly #dir: string;
  readonly #pool: ThreadPool;
  readonly #waiting: string[];
  #deleting: Promise<void> | undefined;
  #next = 0;

  /** `dir` must be on the file system of what is removed. */
  constructor(dir: string, pool: ThreadPool) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#dir = dir;
    this.#pool = pool;
    this.#waiting = readdirSync(dir).map((name) => path.join(dir, name));
    this.#deleteNext();
  }

  /** The path is free when this returns; the space is, a little later. What does not exist is no error. */
  discard(victim: string): void {
    const target = path.join(this.#dir, `${process.pid}-${Date.now().toString(36)}-${this.#next++}`);
    try {
      renameSync(victim, target);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    this.#waiting.push(target);
    this.#deleteNext();
  }

  /** Resolves when everything discarded so far is deleted. */
  async empty(): Promise<void> {
    while (this.#deleting) await this.#deleting;
  }

  #deleteNext(): void {
    if (this.#deleting || this.#waiting.length === 0) return;
    const batch = this.#waiting.splice(0);
    this.#deleting = this.#pool
      .run<readonly string[], void>(new URL('./delete.task.ts', import.meta.url), batch)
      // What could not be deleted stays in the trash for the next start.
      .catch(() => {})
      .finally(() => {
        this.#deleting = undefined;
        this.#deleteNext();
      });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.empty();
  }
}
