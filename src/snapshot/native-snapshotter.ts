import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import { joinLayers, layersAbove } from './layer-list.ts';
import {
  type Removal,
  type SnapshotChanges,
  type SnapshotId,
  type SnapshotInfo,
  type SnapshotMount,
  type Snapshotter,
  type SnapshotUsage,
  snapshotId,
} from './snapshot.ts';
import { SnapshotIndex } from './snapshot-index.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';
import type { MaterializeInput } from './tasks/materialize.task.ts';
import type { WriteChangesInput } from './tasks/write-changes.task.ts';
import type { ChangesToWrite } from './tasks/write-changes.ts';
import { Trash } from './trash.ts';

/**
 * A snapshotter for file systems that overlayfs does not work on: every snapshot is a whole tree, copied from its
 * parent's (by sharing blocks, where the file system can).
 *
 *   <root>/s/<id>    the tree
 *   <root>/t         trash
 *
 * A layer is the step from one tree to another, named `<lower>:<upper>` by their ids; the first one has no lower.
 */
export function openNativeSnapshotter(options: SnapshotterOptions): Snapshotter {
  return new NativeSnapshotter(options);
}

class NativeSnapshotter implements Snapshotter {
  readonly name = 'native';
  readonly #dir: string;
  readonly #pool: ThreadPool;
  readonly #housekeeping: ThreadPool;
  readonly #index: SnapshotIndex;
  readonly #trash: Trash;

  constructor({ root, database, pool, housekeeping = pool }: SnapshotterOptions) {
    this.#dir = path.join(root, 's');
    this.#pool = pool;
    this.#housekeeping = housekeeping;
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    this.#trash = new Trash(path.join(root, 't'), housekeeping);
    this.#index = new SnapshotIndex(database, this.name);
    this.#recover();
  }

  async prepare(id: SnapshotId, parent?: SnapshotId, alongside?: () => void): Promise<void> {
    const parents = parent === undefined ? [] : [parent];
    const make = async () => {
      await this.#makeTree(id, parent);
      return { id, state: 'active', parents } as const;
    };
    await this.#create(id, parents, make, alongside);
  }

  async commit(id: SnapshotId, alongside?: () => void): Promise<void> {
    this.#index.commit(id, alongside);
  }

  async merge(id: SnapshotId, parents: readonly SnapshotId[]): Promise<void> {
    await this.#create(id, parents, async () => {
      const [first, ...others] = parents;
      await this.#makeTree(id, first);
      await this.#applyLayers(id, joinLayers(others.map((parent) => this.#layers(parent))));
      const layers = joinLayers(parents.map((parent) => this.#layers(parent)));
      return { id, state: 'committed', parents, layers };
    });
  }

  async diff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<void> {
    const parents = lower === undefined ? [upper] : [lower, upper];
    await this.#create(id, parents, async () => {
      const below = lower === undefined ? [] : this.#layers(lower);
      const layers = layersAbove(below, this.#layers(upper)) ?? [layerName(lower, upper)];
      await this.#makeTree(id, undefined);
      await this.#applyLayers(id, layers);
      return { id, state: 'committed', parents, layers };
    });
  }

  async mount(id: SnapshotId, options: { readonly readonly?: boolean } = {}): Promise<SnapshotMount> {
    const { state } = this.#index.require(id);
    return {
      kind: 'bind',
      source: this.#tree(id),
      readonly: state === 'committed' || options.readonly === true,
    };
  }

  async layerDirs(id: SnapshotId): Promise<readonly string[]> {
    this.#index.require(id);
    return [this.#tree(id)];
  }

  async changes(id: SnapshotId, base?: SnapshotId): Promise<readonly SnapshotChanges[]> {
    const above = layersAbove(base === undefined ? [] : this.#layers(base), this.#layers(id));
    if (!above) {
      throw new KilnError('failed_precondition', `snapshot ${id} is not built on snapshot ${base}`);
    }
    return above.map((layer) => ({ kind: 'trees', ...this.#treesOf(layer) }));
  }

  async writableLayerDir(id: SnapshotId): Promise<{ readonly dir: string; readonly form: 'tree' }> {
    if (this.#index.require(id).state !== 'active') {
      throw new KilnError('failed_precondition', `snapshot ${id} is committed: it cannot be written to`);
    }
    return { dir: this.#tree(id), form: 'tree' };
  }

  async remove(id: SnapshotId): Promise<Removal> {
    const [removal] = await this.removeAll([id]);
    return removal!;
  }

  async removeAll(
    ids: readonly SnapshotId[],
    alongside?: (layerDirs: readonly (string | undefined)[]) => void,
  ): Promise<readonly Removal[]> {
    const layerDirs = ids.map((id) => (this.#index.get(id) ? this.#tree(id) : undefined));
    this.#index.delete(ids, () => alongside?.(layerDirs));
    const removals: Removal[] = [];
    for (const [index, id] of ids.entries()) {
      const layerDir = layerDirs[index];
      if (layerDir === undefined) {
        removals.push({ freed: Promise.resolve(0) });
        continue;
      }
      const { freed } = await this.#trash.discard(this.#tree(id));
      removals.push({ freed, layerDir });
    }
    return removals;
  }

  async stat(id: SnapshotId): Promise<SnapshotInfo | undefined> {
    return this.#index.get(id);
  }

  async *list(): AsyncIterable<SnapshotInfo> {
    yield* this.#index.all();
  }

  usage(ids: readonly SnapshotId[], signal?: AbortSignal): Promise<readonly SnapshotUsage[]> {
    return this.#housekeeping.run<readonly string[], readonly SnapshotUsage[]>(
      new URL('./tasks/measure.task.ts', import.meta.url),
      ids.map((id) => this.#tree(id)),
      { signal },
    );
  }

  /** Nothing. */
  overhead(): number {
    return 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#trash.empty();
  }

  #create(
    id: SnapshotId,
    parents: readonly SnapshotId[],
    make: Parameters<SnapshotIndex['create']>[2],
    alongside?: () => void,
  ): Promise<void> {
    return this.#index.create(id, parents, make, () => this.#trash.discard(this.#tree(id)), alongside);
  }

  #tree(id: SnapshotId): string {
    return path.join(this.#dir, id);
  }

  #layers(id: SnapshotId): string[] {
    const own: string[] = [];
    for (let at: SnapshotId | undefined = id; at !== undefined; ) {
      const { layers, parents } = this.#index.require(at);
      if (layers) return [...layers, ...own.reverse()];
      own.push(layerName(parents[0], at));
      at = parents[0];
    }
    return own.reverse();
  }

  #treesOf(layer: string): { readonly lower?: string; readonly upper: string } {
    const [lower, upper] = layer.split(':');
    return {
      ...(lower === '' ? {} : { lower: this.#tree(snapshotId(lower!)) }),
      upper: this.#tree(snapshotId(upper!)),
    };
  }

  async #makeTree(id: SnapshotId, from: SnapshotId | undefined): Promise<void> {
    const target = this.#tree(id);
    if (from === undefined) {
      mkdirSync(target);
      chmodSync(target, 0o755);
    } else {
      await this.#pool.run<MaterializeInput, void>(new URL('./tasks/materialize.task.ts', import.meta.url), {
        dirs: [this.#tree(from)],
        target,
      });
    }
  }

  async #applyLayers(id: SnapshotId, layers: readonly string[]): Promise<void> {
    const steps = layers.map((layer): ChangesToWrite => {
      const { lower, upper } = this.#treesOf(layer);
      return {
        lower: lower === undefined ? [] : [lower],
        upper: [upper],
        target: this.#tree(id),
        deletions: 'apply',
      };
    });
    await this.#pool.run<WriteChangesInput, void>(
      new URL('./tasks/write-changes.task.ts', import.meta.url),
      steps,
    );
  }

  /** Drops trees without a record, and records whose tree did not survive. */
  #recover(): void {
    const present = new Set(readdirSync(this.#dir));
    this.#index.dropUnless(({ id }) => present.has(id));
    for (const { id } of this.#index.all()) present.delete(id);
    for (const name of present) void this.#trash.discard(path.join(this.#dir, name));
  }
}

function layerName(lower: SnapshotId | undefined, upper: SnapshotId): string {
  return `${lower ?? ''}:${upper}`;
}
