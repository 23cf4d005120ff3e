import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { SnapshotId, SnapshotUsage } from './snapshot.ts';
import type { MaterializeInput } from './tasks/materialize.task.ts';
import type { Trash } from './trash.ts';

/** The kernel mounts 500 layers, not much slower than a few: above this many, the lower ones are flattened. */
const mostLayers = 400;
/** Layers are flattened in steps of this many, so that a growing chain finds an earlier one to start from. */
const step = 100;

interface Flat {
  readonly dir: string;
  readonly ready: Promise<void>;
  readonly users: Set<SnapshotId>;
  /** Bytes, once it is made. */
  size: number;
}

/**
 * Plain trees, copies that stand for the lower layers of very long stacks. They are made when a mount needs
 * them, shared by all snapshots that start with the same layers, and removed with the last of these; they do not
 * outlive the process.
 */
export class FlattenedLayers {
  readonly #root: string;
  readonly #pool: ThreadPool;
  readonly #trash: Trash;
  readonly #flats = new Map<string, Flat>();
  #next = 0;

  constructor(root: string, pool: ThreadPool, trash: Trash) {
    this.#root = root;
    this.#pool = pool;
    this.#trash = trash;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(root)) void trash.discard(path.join(root, name));
  }

  /** Directories, bottom first, that show the same as `dirs` and can be mounted. They stay until `release(user)`. */
  async shorten(user: SnapshotId, dirs: readonly string[]): Promise<readonly string[]> {
    if (dirs.length <= mostLayers) return dirs;
    const length = Math.floor((dirs.length - 1) / step) * step;
    const flat = this.#flatten(dirs, length);
    flat.users.add(user);
    await flat.ready;
    return [flat.dir, ...dirs.slice(length)];
  }

  release(user: SnapshotId): void {
    for (const [key, flat] of this.#flats) {
      if (!flat.users.delete(user) || flat.users.size > 0) continue;
      this.#flats.delete(key);
      void flat.ready.catch(() => {}).then(() => void this.#trash.discard(flat.dir));
    }
  }

  /** Bytes of the trees that were first made for `user`, or fell to it. */
  sizeFor(user: SnapshotId): number {
    let size = 0;
    for (const { users, size: bytes } of this.#flats.values()) {
      const [first] = users;
      if (first === user) size += bytes;
    }
    return size;
  }

  #flatten(dirs: readonly string[], length: number): Flat {
    const keyOf = (count: number) => dirs.slice(0, count).join('\n');
    const key = keyOf(length);
    const existing = this.#flats.get(key);
    if (existing) return existing;
    let start: Flat | undefined;
    let from = length;
    while (!start && from > step) {
      from -= step;
      start = this.#flats.get(keyOf(from));
    }
    const lower = start ? [start.dir, ...dirs.slice(from, length)] : dirs.slice(0, length);
    const dir = path.join(this.#root, `${this.#next++}`);
    const make = async (): Promise<void> => {
      await start?.ready;
      await this.#pool.run<MaterializeInput, void>(new URL('./tasks/materialize.task.ts', import.meta.url), {
        dirs: lower.toReversed(),
        target: dir,
      });
    };
    const flat: Flat = { dir, ready: Promise.resolve().then(make), users: new Set(), size: 0 };
    const { ready } = flat;
    void ready.then(() => this.#measure(flat)).catch(() => {});
    ready.catch(() => {
      if (this.#flats.get(key) === flat) this.#flats.delete(key);
      void this.#trash.discard(dir);
    });
    this.#flats.set(key, flat);
    return flat;
  }

  async #measure(flat: Flat): Promise<void> {
    const [usage] = await this.#pool.run<readonly string[], readonly SnapshotUsage[]>(
      new URL('./tasks/measure.task.ts', import.meta.url),
      [flat.dir],
    );
    flat.size = usage!.size;
  }
}
