import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { deferred } from '../base/async/lifetime.ts';
import { errnoOf } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';

interface Victim {
  readonly path: string;
  readonly freed: (bytes: number) => void;
}

/** So many trees go to the thread at once. */
const batchSize = 64;

/**
 * Removes trees of any size at once: they are renamed into a directory of their own, and deleted there in a thread.
 * What a killed process left there is deleted by the next.
 */
export class Trash implements AsyncDisposable {
  readonly #dir: string;
  readonly #pool: ThreadPool;
  readonly #waiting: Victim[];
  #deleting: Promise<void> | undefined;
  #next = 0;

  /** `dir` must be on the file system of what is removed. */
  constructor(dir: string, pool: ThreadPool) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#dir = dir;
    this.#pool = pool;
    this.#waiting = readdirSync(dir).map((name) => ({ path: path.join(dir, name), freed: () => {} }));
    this.#deleteNext();
  }

  /**
   * Resolves when the path is free, mostly at once; the space is, when `freed` resolves with the bytes that came free. What does
   * not exist is no error, nor is what cannot be moved: it is deleted where it is, as far as that is possible.
   */
  async discard(victim: string): Promise<{ readonly freed: Promise<number> }> {
    const target = path.join(this.#dir, `${process.pid}-${Date.now().toString(36)}-${this.#next++}`);
    let moved = move(victim, target);
    if (moved === 'refused') {
      // On a full disk there may be no room for one more name in the trash; there is when what is in it has been deleted.
      await this.empty();
      moved = move(victim, target);
    }
    switch (moved) {
      case 'missing':
        return { freed: Promise.resolve(0) };
      case 'moved':
        return { freed: this.#delete(target) };
      case 'refused': {
        const freed = this.#delete(victim);
        await freed;
        return { freed };
      }
      default:
        return moved satisfies never;
    }
  }

  #delete(victim: string): Promise<number> {
    const { promise, resolve } = deferred<number>();
    this.#waiting.push({ path: victim, freed: resolve });
    this.#deleteNext();
    return promise;
  }

  /** Resolves when everything discarded so far is deleted. */
  async empty(): Promise<void> {
    while (this.#deleting) await this.#deleting;
  }

  #deleteNext(): void {
    if (this.#deleting || this.#waiting.length === 0) return;
    const batch = this.#waiting.splice(0, batchSize);
    this.#deleting = this.#pool
      .run<readonly string[], number[]>(
        new URL('./tasks/delete.task.ts', import.meta.url),
        batch.map((victim) => victim.path),
      )
      // What could not be deleted stays in the trash for the next start.
      .catch(() => batch.map(() => 0))
      .then((freed) => {
        for (const [index, victim] of batch.entries()) victim.freed(freed[index]!);
        this.#deleting = undefined;
        this.#deleteNext();
      });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.empty();
  }
}

function move(from: string, to: string): 'moved' | 'missing' | 'refused' {
  try {
    renameSync(from, to);
    return 'moved';
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? 'missing' : 'refused';
  }
}
