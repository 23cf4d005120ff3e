import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import { spreadDirectories } from '../linux/spread-directories.ts';
import { layersAbove } from './layer-list.ts';
import type { Removal, SnapshotId, SnapshotInfo, Snapshotter, SnapshotUsage } from './snapshot.ts';
import { SnapshotIndex, type SnapshotRecord } from './snapshot-index.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';
import { Trash } from './trash.ts';

/** What snapshotters have in common that keep a directory for each snapshot: `<root>/s/<id>`, and the trash in `<root>/t`. */
export abstract class DirectorySnapshotter {
  protected readonly dir: string;
  protected readonly pool: ThreadPool;
  protected readonly index: SnapshotIndex;
  protected readonly trash: Trash;
  /** Those that have a directory already. */
  protected readonly staged = new Set<SnapshotId>();
  readonly #housekeeping: ThreadPool;

  constructor(name: Snapshotter['name'], { root, database, pool, housekeeping = pool }: SnapshotterOptions) {
    this.dir = path.join(root, 's');
    this.pool = pool;
    this.#housekeeping = housekeeping;
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    spreadDirectories(this.dir);
    this.trash = new Trash(path.join(root, 't'), housekeeping);
    this.index = new SnapshotIndex(database, name);
  }

  /** The layer directory of a snapshot's own. */
  protected abstract layerDirOf(id: SnapshotId): string;

  /** How a layer is called that a snapshot has on those of its parent. */
  protected abstract layerName(parent: SnapshotId | undefined, id: SnapshotId): string;

  /** Called for each snapshot that is removed. */
  protected forget(_id: SnapshotId): void {}

  async remove(id: SnapshotId): Promise<Removal> {
    const [removal] = await this.removeAll([id]);
    return removal!;
  }

  async removeAll(
    ids: readonly SnapshotId[],
    alongside?: (layerDirs: readonly (string | undefined)[]) => void,
  ): Promise<readonly Removal[]> {
    const layerDirs = ids.map((id) => (this.index.get(id) ? this.layerDirOf(id) : undefined));
    this.index.delete(ids, () => alongside?.(layerDirs));
    const removals: Removal[] = [];
    for (const [index, id] of ids.entries()) {
      const layerDir = layerDirs[index];
      if (layerDir === undefined && !this.staged.delete(id)) {
        removals.push({ freed: Promise.resolve(0) });
        continue;
      }
      this.forget(id);
      const { freed } = await this.trash.discard(this.ownDir(id));
      removals.push({ freed, ...(layerDir !== undefined && { layerDir }) });
    }
    return removals;
  }

  async stat(id: SnapshotId): Promise<SnapshotInfo | undefined> {
    return this.index.get(id);
  }

  async *list(): AsyncIterable<SnapshotInfo> {
    yield* this.index.all();
  }

  usage(ids: readonly SnapshotId[], signal?: AbortSignal): Promise<readonly SnapshotUsage[]> {
    return this.#housekeeping.run<readonly string[], readonly SnapshotUsage[]>(
      new URL('./tasks/measure.task.ts', import.meta.url),
      ids.map((id) => this.ownDir(id)),
      { signal },
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.trash.empty();
  }

  protected ownDir(id: SnapshotId): string {
    return path.join(this.dir, id);
  }

  /** Records a new snapshot, whose files `make` builds; they are removed when that fails. */
  protected create(
    id: SnapshotId,
    parents: readonly SnapshotId[],
    make: Parameters<SnapshotIndex['create']>[2],
    alongside?: () => void,
  ): Promise<void> {
    const undo = () => {
      this.staged.delete(id);
      return this.trash.discard(this.ownDir(id));
    };
    return this.index.create(id, parents, make, undo, alongside);
  }

  /** The layers of a snapshot, bottom first: those that `named` gives for the first of its ancestors that has some, and one of each above it. */
  protected chain(
    id: SnapshotId,
    named: (record: SnapshotRecord) => readonly string[] | undefined,
  ): string[] {
    const own: string[] = [];
    for (let at: SnapshotId | undefined = id; at !== undefined; ) {
      const record = this.index.require(at);
      const layers = named(record);
      if (layers) return [...layers, ...own.reverse()];
      const [parent]: readonly SnapshotId[] = record.parents;
      own.push(this.layerName(parent, at));
      at = parent;
    }
    return own.reverse();
  }

  protected layers(id: SnapshotId): string[] {
    return this.chain(id, (record) => record.layers);
  }

  /** The layers that a snapshot has above `base`. Throws `failed_precondition` when it is not built on that. */
  protected layersAbove(id: SnapshotId, base: SnapshotId | undefined): string[] {
    const above = layersAbove(base === undefined ? [] : this.layers(base), this.layers(id));
    if (above) return above;
    throw new KilnError('failed_precondition', `snapshot ${id} is not built on snapshot ${base}`);
  }

  /** The record of a snapshot that may be written to. Throws `not_found`, `failed_precondition`. */
  protected requireActive(id: SnapshotId): SnapshotRecord {
    const record = this.index.require(id);
    if (record.state === 'active') return record;
    throw new KilnError('failed_precondition', `snapshot ${id} is committed: it cannot be written to`);
  }

  /** Drops directories without a record, and records of which not all is there. To be called once, at the start. */
  protected recover(isWhole: (record: SnapshotRecord, isThere: (id: string) => boolean) => boolean): void {
    const present = new Set(readdirSync(this.dir));
    this.index.dropUnless((record) => isWhole(record, (id) => present.has(id)));
    for (const { id } of this.index.all()) present.delete(id);
    for (const name of present) void this.trash.discard(path.join(this.dir, name));
  }
}
