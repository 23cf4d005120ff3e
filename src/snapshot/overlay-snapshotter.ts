import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import { toByteString, toSystemPath } from '../base/text/byte-string.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import { utimens } from '../linux/utimens.ts';
import { clearOpaque } from '../tree/overlay-marks.ts';
import { FlattenedLayers } from './flattened-layers.ts';
import { joinLayers, layersAbove, uncoveredLayers } from './layer-list.ts';
import type {
  Removal,
  SnapshotChanges,
  SnapshotId,
  SnapshotInfo,
  SnapshotMount,
  Snapshotter,
  SnapshotUsage,
} from './snapshot.ts';
import { SnapshotIndex, type SnapshotRecord } from './snapshot-index.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';
import type { AdaptLayerInput } from './tasks/adapt-layer.task.ts';
import type { WriteChangesInput } from './tasks/write-changes.task.ts';
import { Trash } from './trash.ts';

/**
 * A snapshotter on the kernel's overlayfs. Each snapshot has one layer directory, a merge only names its parents'.
 *
 *   <root>/s/<id>/fs      the layer, in overlayfs form
 *   <root>/s/<id>/work    overlayfs's scratch directory, while active and once it was mounted
 *   <root>/s/<id>/<n>     a layer of a merge that had to be adapted (see `adapt-layer`)
 *   <root>/f/<n>          flattened layers (see `flattened-layers`)
 *   <root>/t              trash
 *
 * A layer's name is its path below `s`.
 */
export function openOverlaySnapshotter(options: SnapshotterOptions): Snapshotter {
  return new OverlaySnapshotter(options);
}

class OverlaySnapshotter implements Snapshotter {
  readonly name = 'overlay';
  readonly #dir: string;
  readonly #emptyDir: string;
  readonly #pool: ThreadPool;
  readonly #housekeeping: ThreadPool;
  readonly #index: SnapshotIndex;
  readonly #trash: Trash;
  readonly #flats: FlattenedLayers;
  /** Whether a committed layer holds whiteouts or opaque directories, as far as somebody wanted to know. */
  readonly #marks = new Map<string, boolean>();

  constructor({ root, database, pool, housekeeping = pool }: SnapshotterOptions) {
    this.#dir = path.join(root, 's');
    this.#emptyDir = path.join(root, 'empty');
    this.#pool = pool;
    this.#housekeeping = housekeeping;
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    mkdirSync(this.#emptyDir, { recursive: true, mode: 0o755 });
    this.#trash = new Trash(path.join(root, 't'), housekeeping);
    this.#flats = new FlattenedLayers(path.join(root, 'f'), pool, this.#trash);
    this.#index = new SnapshotIndex(database, this.name);
    this.#recover();
  }

  async prepare(id: SnapshotId, parent?: SnapshotId, alongside?: () => void): Promise<void> {
    const parents = parent === undefined ? [] : [parent];
    await this.#index.create(
      id,
      parents,
      () => {
        const fs = path.join(this.#ownDir(id), 'fs');
        mkdirSync(fs, { recursive: true });
        const top = parent === undefined ? undefined : this.#view(parent).at(-1);
        if (top === undefined) chmodSync(fs, 0o755);
        else copyRootMetadata(this.#layerPath(top), fs);
        return { id, state: 'active', parents };
      },
      () => this.#discard(id),
      alongside,
    );
  }

  async commit(id: SnapshotId, alongside?: () => void): Promise<void> {
    const work = path.join(this.#ownDir(id), 'work');
    const isOverNothing = this.#index.require(id).parents.length === 0;
    if (isOverNothing && existsSync(work)) clearRootDirectories(path.join(this.#ownDir(id), 'fs'));
    this.#index.commit(id, alongside);
    rmSync(work, { recursive: true, force: true });
  }

  async merge(id: SnapshotId, parents: readonly SnapshotId[]): Promise<void> {
    await this.#index.create(
      id,
      parents,
      async () => {
        const [first, ...others] = parents;
        const layers = joinLayers(parents.map((parent) => this.#layers(parent)));
        const above = joinLayers(others.map((parent) => this.#layers(parent)));
        const view = await this.#viewOf(id, first === undefined ? [] : this.#view(first), above);
        return { id, state: 'committed', parents, layers, view };
      },
      () => this.#discard(id),
    );
  }

  async diff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<void> {
    const parents = lower === undefined ? [upper] : [lower, upper];
    await this.#index.create(
      id,
      parents,
      async () => {
        const below = lower === undefined ? [] : this.#layers(lower);
        const layers = layersAbove(below, this.#layers(upper)) ?? [await this.#makeDiff(id, lower, upper)];
        return { id, state: 'committed', parents, layers, view: await this.#viewOf(id, [], layers) };
      },
      () => this.#discard(id),
    );
  }

  async mount(id: SnapshotId, options: { readonly readonly?: boolean } = {}): Promise<SnapshotMount> {
    const record = this.#index.require(id);
    const dirs = this.#view(id).map((layer) => this.#layerPath(layer));
    if (record.state === 'active' && !options.readonly) {
      const upperDir = dirs.pop()!;
      // Over nothing, too: in a directory that is merely bound, anybody could make what is a mark once it is part of an overlay.
      const lowers = dirs.length === 0 ? [this.#emptyDir] : await this.#flats.shorten(id, dirs);
      const workDir = path.join(this.#ownDir(id), 'work');
      return { kind: 'overlay', lowerDirs: lowers.toReversed(), upperDir, workDir };
    }
    const lowers = await this.#flats.shorten(id, dirs);
    if (lowers.length > 1) return { kind: 'overlay', lowerDirs: lowers.toReversed() };
    return { kind: 'bind', source: lowers[0] ?? this.#emptyDir, readonly: true };
  }

  async layerDirs(id: SnapshotId): Promise<readonly string[]> {
    return this.#view(id).map((layer) => this.#layerPath(layer));
  }

  async changes(id: SnapshotId, base?: SnapshotId): Promise<readonly SnapshotChanges[]> {
    const layers = this.#layers(id);
    const below = base === undefined ? [] : this.#layers(base);
    const above = layersAbove(below, layers);
    if (!above) {
      throw new KilnError('failed_precondition', `snapshot ${id} is not built on snapshot ${base}`);
    }
    const dirs = layers.map((layer) => this.#layerPath(layer));
    return above.map((_, index) => {
      const position = below.length + index;
      return {
        kind: 'overlay' as const,
        dir: dirs[position]!,
        lowerDirs: dirs.slice(0, position).reverse(),
      };
    });
  }

  async writableLayerDir(
    id: SnapshotId,
  ): Promise<{ readonly dir: string; readonly form: 'overlay' | 'tree' }> {
    const { state, parents } = this.#index.require(id);
    if (state !== 'active') {
      throw new KilnError('failed_precondition', `snapshot ${id} is committed: it cannot be written to`);
    }
    // With nothing below there is nothing to hide: overlayfs would list the marks as names that cannot be opened.
    const form = parents.length === 0 ? 'tree' : 'overlay';
    return { dir: path.join(this.#ownDir(id), 'fs'), form };
  }

  async remove(id: SnapshotId): Promise<Removal> {
    const [removal] = await this.removeAll([id]);
    return removal!;
  }

  async removeAll(
    ids: readonly SnapshotId[],
    alongside?: (layerDirs: readonly (string | undefined)[]) => void,
  ): Promise<readonly Removal[]> {
    const layerDirs = ids.map((id) => (this.#index.get(id) ? path.join(this.#ownDir(id), 'fs') : undefined));
    this.#index.delete(ids, () => alongside?.(layerDirs));
    const removals: Removal[] = [];
    for (const [index, id] of ids.entries()) {
      const layerDir = layerDirs[index];
      if (layerDir === undefined) {
        removals.push({ freed: Promise.resolve(0) });
        continue;
      }
      this.#flats.release(id);
      this.#marks.delete(ownLayer(id));
      const { freed } = await this.#discard(id);
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
      ids.map((id) => this.#ownDir(id)),
      { signal },
    );
  }

  overhead(id: SnapshotId): number {
    return this.#flats.sizeFor(id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#trash.empty();
  }

  #ownDir(id: SnapshotId): string {
    return path.join(this.#dir, id);
  }

  #discard(id: SnapshotId): Promise<{ readonly freed: Promise<number> }> {
    return this.#trash.discard(this.#ownDir(id));
  }

  #layerPath(layer: string): string {
    return path.join(this.#dir, layer);
  }

  #topFirst(layers: readonly string[]): string[] {
    return layers.map((layer) => this.#layerPath(layer)).reverse();
  }

  #layers(id: SnapshotId): string[] {
    return this.#chain(id, (record) => record.layers);
  }

  #view(id: SnapshotId): string[] {
    return this.#chain(id, (record) => record.view ?? record.layers);
  }

  /** Follows the parents down to the first that names its layers. */
  #chain(id: SnapshotId, named: (record: SnapshotRecord) => readonly string[] | undefined): string[] {
    const own: string[] = [];
    for (let at: SnapshotId | undefined = id; at !== undefined; ) {
      const record = this.#index.require(at);
      const layers = named(record);
      if (layers) return [...layers, ...own.reverse()];
      own.push(ownLayer(at));
      at = record.parents[0];
    }
    return own.reverse();
  }

  /** What to mount for `layers` above `below`: these layers, but adapted where they lie on another tree than they were made on. */
  async #viewOf(id: SnapshotId, below: readonly string[], layers: readonly string[]): Promise<string[]> {
    const unknown = layers.filter((layer) => !this.#marks.has(layer));
    if (unknown.length > 0) {
      const found = await this.#pool.run<readonly string[], boolean[]>(
        new URL('./tasks/find-marks.task.ts', import.meta.url),
        unknown.map((layer) => this.#layerPath(layer)),
      );
      for (const [index, layer] of unknown.entries()) this.#marks.set(layer, found[index]!);
    }
    const view = [...below];
    for (const [index, layer] of layers.entries()) {
      const owner = ownerOf(layer);
      // A diff's own layer, which is being made, lies on nothing that it could hide.
      const [madeOn] = owner === id ? [] : this.#index.require(owner).parents;
      const mayDiffer = madeOn !== undefined || this.#marks.get(layer);
      const adapted = mayDiffer && (await this.#adapt(id, index, layer, { madeOn, below: view }));
      view.push(adapted ? `${id}/${index}` : layer);
    }
    // Overlayfs takes no directory twice.
    return uncoveredLayers(view);
  }

  async #adapt(
    id: SnapshotId,
    index: number,
    layer: string,
    { madeOn, below }: { readonly madeOn: SnapshotId | undefined; readonly below: readonly string[] },
  ): Promise<boolean> {
    mkdirSync(this.#ownDir(id), { recursive: true, mode: 0o700 });
    return this.#pool.run<AdaptLayerInput, boolean>(new URL('./tasks/adapt-layer.task.ts', import.meta.url), {
      layer: this.#layerPath(layer),
      madeOn: madeOn === undefined ? [] : this.#topFirst(this.#view(madeOn)),
      lowers: this.#topFirst(below),
      target: path.join(this.#ownDir(id), `${index}`),
    });
  }

  async #makeDiff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<string> {
    const target = path.join(this.#ownDir(id), 'fs');
    mkdirSync(target, { recursive: true });
    const above = this.#topFirst(this.#view(upper));
    await this.#pool.run<WriteChangesInput, void>(new URL('./tasks/write-changes.task.ts', import.meta.url), [
      {
        lower: lower === undefined ? [] : this.#topFirst(this.#view(lower)),
        upper: above.length > 0 ? above : [this.#emptyDir],
        target,
        deletions: 'whiteout',
      },
    ]);
    return ownLayer(id);
  }

  /** Drops directories without a record, and records whose directory did not survive. */
  #recover(): void {
    const present = new Set(readdirSync(this.#dir));
    const isThere = (layer: string) => present.has(layer.slice(0, layer.indexOf('/')));
    this.#index.dropUnless(({ id, layers, view }) =>
      layers ? layers.every(isThere) && (view?.every(isThere) ?? true) : present.has(id),
    );
    for (const { id } of this.#index.all()) present.delete(id);
    for (const name of present) void this.#trash.discard(path.join(this.#dir, name));
  }
}

function ownLayer(id: SnapshotId): string {
  return `${id}/fs`;
}

/** The snapshot that a layer was made as. */
function ownerOf(layer: string): SnapshotId {
  return path.dirname(layer) as SnapshotId;
}

/**
 * The kernel marks a directory that is moved into the root of an overlay as opaque (and older ones each that is made there), which over
 * nothing says nothing, and would have to be undone in a copy of the layer wherever it is laid over a tree with the same directory.
 */
function clearRootDirectories(layer: string): void {
  for (const entry of readdirSync(layer, { withFileTypes: true, encoding: 'latin1' })) {
    if (entry.isDirectory()) clearOpaque(toSystemPath(`${toByteString(layer)}/${entry.name}`));
  }
}

/** A layer's root shows as the root of the whole tree, so it starts as the one below it was. */
function copyRootMetadata(from: string, to: string): void {
  const stats = lstatSync(from, { bigint: true });
  chownSync(to, Number(stats.uid), Number(stats.gid));
  chmodSync(to, Number(stats.mode & 0o7777n));
  utimens(to, stats.atimeNs, stats.mtimeNs);
}
