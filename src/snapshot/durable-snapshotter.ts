import { FairTurns } from '../base/async/fair-turns.ts';
import type {
  LayerPlace,
  Removal,
  SnapshotChanges,
  SnapshotId,
  SnapshotInfo,
  SnapshotMount,
  Snapshotter,
  SnapshotUsage,
} from './snapshot.ts';
import type { WriteLedger } from './write-ledger.ts';

/** A snapshotter whose snapshots reach the disk now and then, not as they are written. */
export interface DurableSnapshotter extends Snapshotter {
  /**
   * Runs `sync`, which brings all that was written to the disk; from then on what is committed survives a crash of the
   * machine. Active snapshots do only if nobody writes to any of them (`idle`).
   */
  flush(sync: () => Promise<void>, options: { readonly idle: boolean }): Promise<void>;
}

/** Makes a snapshotter note its writes in `ledger`. Removes what a crash of the machine has lost, with all that was built on it. */
export async function makeDurable(
  snapshotter: Snapshotter,
  ledger: WriteLedger,
): Promise<DurableSnapshotter> {
  if (ledger.lost.length === 0) return new LedgeredSnapshotter(snapshotter, ledger);
  for (const id of await withAllAbove(ledger.lost, snapshotter)) await snapshotter.remove(id);
  return new LedgeredSnapshotter(snapshotter, ledger);
}

/** Returns the snapshots and all that was built on them, each after what was built on it. */
export async function withAllAbove(
  ids: readonly SnapshotId[],
  snapshotter: Snapshotter,
): Promise<readonly SnapshotId[]> {
  const children = new Map<SnapshotId, SnapshotId[]>();
  for await (const { id, parents } of snapshotter.list()) {
    for (const parent of parents) children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  return [...childrenFirst(ids, children)];
}

class LedgeredSnapshotter implements DurableSnapshotter {
  readonly name: Snapshotter['name'];
  readonly #inner: Snapshotter;
  readonly #ledger: WriteLedger;
  /** Directories are made at once: many snapshots must not hold up the event loop. */
  readonly #turns = new FairTurns();

  constructor(inner: Snapshotter, ledger: WriteLedger) {
    this.name = inner.name;
    this.#inner = inner;
    this.#ledger = ledger;
  }

  async flush(sync: () => Promise<void>, { idle }: { readonly idle: boolean }): Promise<void> {
    const active = new Set<SnapshotId>();
    for await (const { id, state } of this.#inner.list()) if (state === 'active') active.add(id);
    await this.#ledger.strike(sync, (id) => !idle && active.has(id));
  }

  /** What is written there before the snapshot is prepared, and noted, goes with a crash in any case. */
  async stage(id: SnapshotId, onTop: boolean): Promise<LayerPlace | undefined> {
    await this.#turns.take();
    return await this.#inner.stage(id, onTop);
  }

  async prepare(id: SnapshotId, parent?: SnapshotId, alongside?: () => void): Promise<void> {
    await this.#turns.take();
    this.#ledger.note(id);
    await this.#inner.prepare(id, parent, alongside);
  }

  merge(id: SnapshotId, parents: readonly SnapshotId[]): Promise<void> {
    this.#ledger.note(id);
    return this.#inner.merge(id, parents);
  }

  diff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<void> {
    this.#ledger.note(id);
    return this.#inner.diff(id, lower, upper);
  }

  async mount(id: SnapshotId, options: { readonly readonly?: boolean } = {}): Promise<SnapshotMount> {
    const state = (await this.#inner.stat(id))?.state;
    if (state === 'active' && !options.readonly) this.#ledger.note(id);
    return await this.#inner.mount(id, options);
  }

  writableLayerDir(id: SnapshotId): Promise<LayerPlace> {
    this.#ledger.note(id);
    return this.#inner.writableLayerDir(id);
  }

  commit(id: SnapshotId, alongside?: () => void): Promise<void> {
    return this.#inner.commit(id, alongside);
  }

  layerDirs(id: SnapshotId): Promise<readonly string[]> {
    return this.#inner.layerDirs(id);
  }

  changes(id: SnapshotId, base?: SnapshotId): Promise<readonly SnapshotChanges[]> {
    return this.#inner.changes(id, base);
  }

  remove(id: SnapshotId): Promise<Removal> {
    return this.#inner.remove(id);
  }

  removeAll(
    ids: readonly SnapshotId[],
    alongside?: (layerDirs: readonly (string | undefined)[]) => void,
  ): Promise<readonly Removal[]> {
    return this.#inner.removeAll(ids, alongside);
  }

  stat(id: SnapshotId): Promise<SnapshotInfo | undefined> {
    return this.#inner.stat(id);
  }

  list(): AsyncIterable<SnapshotInfo> {
    return this.#inner.list();
  }

  usage(ids: readonly SnapshotId[], signal?: AbortSignal): Promise<readonly SnapshotUsage[]> {
    return this.#inner.usage(ids, signal);
  }

  overhead(id: SnapshotId): number {
    return this.#inner.overhead(id);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#inner[Symbol.asyncDispose]();
  }
}

/** The snapshots and all that was built on them, each after what was built on it. */
function childrenFirst(
  ids: readonly SnapshotId[],
  children: ReadonlyMap<SnapshotId, readonly SnapshotId[]>,
): ReadonlySet<SnapshotId> {
  const ordered = new Set<SnapshotId>();
  const entered = new Set<SnapshotId>();
  const pending = ids.map((id) => ({ id, ready: false }));
  for (let at = pending.pop(); at; at = pending.pop()) {
    if (at.ready) ordered.add(at.id);
    if (entered.has(at.id)) continue;
    entered.add(at.id);
    pending.push({ id: at.id, ready: true });
    for (const child of children.get(at.id) ?? []) pending.push({ id: child, ready: false });
  }
  return ordered;
}
