import type { DatabaseSync } from 'node:sqlite';
import { transaction } from '../base/database/transaction.ts';
import type { Digest } from '../base/digest.ts';
import { isDatabaseError, KilnError } from '../base/errors.ts';
import type { ContentStore } from '../content/content.ts';
import { joinLayers, layersAbove } from '../snapshot/layer-list.ts';
import type { Removal, Snapshotter } from '../snapshot/snapshot.ts';
import type { ImageIndex, RecordOptions, RefId } from './ref.ts';
import {
  newRefId,
  parentsOf,
  publicId,
  type RecordOrigin,
  type RecordState,
  type RefRecord,
  type StoredBlob,
  snapshotOf,
} from './ref-record.ts';
import { RefTable } from './ref-table.ts';

/** How long uses may stay unwritten. Milliseconds. */
const useDelay = 1000;
/** How many are written in one turn of the event loop, and milliseconds until the next. */
const usesAtOnce = 500;
const usePause = 10;

/** The empty tree has a record that is never stored, listed or removed. */
export const scratchId = 'scratch' as RefId;

export interface RefRecordsOptions {
  readonly database: DatabaseSync;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly images: Pick<ImageIndex, 'holds'>;
  /** Deletes what other rooms have written of a record, in the transaction in which it goes. */
  readonly deleteRows?: (id: RefId, layerDir: string | undefined) => void;
}

export interface NewRecord extends RecordOptions {
  readonly origin: RecordOrigin;
  readonly state: RecordState;
  readonly chainId?: Digest;
  readonly name?: string;
  readonly createdAt?: Date;
  readonly blobs?: readonly StoredBlob[];
}

interface RecordChange {
  readonly state: RecordState;
  readonly generation?: number;
  readonly name?: undefined;
}

/** The graph of records: who needs whom, who is held, and which blobs and names belong to what; in memory, and in the table. */
export class RefRecords {
  readonly #table: RefTable;
  readonly #snapshotter: Snapshotter;
  readonly #content: ContentStore;
  readonly #images: Pick<ImageIndex, 'holds'>;
  readonly #database: DatabaseSync;
  readonly #deleteRows: (id: RefId, layerDir: string | undefined) => void;
  readonly #records = new Map<RefId, RefRecord>();
  readonly #byChain = new Map<Digest, Set<RefRecord>>();
  readonly #byName = new Map<string, Set<RefRecord>>();
  /** How many records have this one in their origin. */
  readonly #children = new Map<RefId, number>();
  /** The first of them counts the blob as its own. */
  readonly #blobOwners = new Map<Digest, RefRecord[]>();
  readonly #used = new Set<RefRecord>();
  #useTimer: NodeJS.Timeout | undefined;

  constructor({ database, snapshotter, content, images, deleteRows }: RefRecordsOptions) {
    this.#table = new RefTable(database);
    this.#snapshotter = snapshotter;
    this.#content = content;
    this.#images = images;
    this.#database = database;
    this.#deleteRows = deleteRows ?? (() => {});
    this.#add(
      blankRecord(scratchId, {
        origin: { kind: 'merge', parents: [] },
        state: 'committed',
        description: 'the empty tree',
        type: 'internal',
      }),
    );
  }

  /**
   * Reads the table, and drops what a killed process left half-made: mutable trees without a name, layers with neither
   * files nor a blob, whatever was built on these, and snapshots that belong to no record.
   */
  async recover(): Promise<void> {
    const snapshots = new Map<string, 'active' | 'committed'>();
    for await (const { id, state } of this.#snapshotter.list()) snapshots.set(id, state);

    const loaded = new Map(this.#table.load().map((record) => [record.id, record] as const));
    const isWhole = (record: RefRecord): boolean => {
      // What was being written when the process ended may be half-written; a named tree has to stand that.
      if (record.state === 'mutable') return record.name !== undefined && snapshots.has(record.id);
      if (record.state === 'frozen') return snapshots.has(record.id);
      if (record.origin.kind !== 'layer') return true;
      return snapshots.get(record.id) === 'committed' || record.blobs.length > 0;
    };
    const broken: RefId[] = [];
    let found = [...loaded.values()].filter((record) => !isWhole(record));
    while (found.length > 0) {
      for (const { id } of found) {
        loaded.delete(id);
        broken.push(id);
      }
      found = [...loaded.values()].filter(({ origin }) =>
        parentsOf(origin).some((parent) => !loaded.has(parent) && parent !== scratchId),
      );
    }
    this.#table.delete(broken);
    for (const record of loaded.values()) {
      if (snapshots.get(record.id) === 'committed') record.claim = 'unpacked';
      this.#add(record);
    }

    await this.#removeOrphans(snapshots);
  }

  async #removeOrphans(snapshots: ReadonlyMap<string, 'active' | 'committed'>): Promise<void> {
    let orphans = [...snapshots].filter(([id, state]) => {
      const record = this.#records.get(id as RefId);
      return !record || (record.state === 'committed' && state === 'active');
    });
    while (orphans.length > 0) {
      const kept: typeof orphans = [];
      for (const orphan of orphans) {
        try {
          await this.#snapshotter.remove(orphan[0] as Parameters<Snapshotter['remove']>[0]);
        } catch (error) {
          if (!(error instanceof KilnError && error.code === 'failed_precondition')) throw error;
          kept.push(orphan);
        }
      }
      if (kept.length === orphans.length) return;
      orphans = kept;
    }
  }

  find(id: RefId): RefRecord | undefined {
    return this.#records.get(id);
  }

  /** For ids that a live record names. */
  require(id: RefId): RefRecord {
    const record = this.#records.get(id);
    if (!record) throw new KilnError('not_found', `there is no record ${id}: it was pruned`);
    return record;
  }

  /** Those whose layers are said to be these: one that has been unpacked, or more with different blobs that have not. */
  byChain(chainId: Digest): ReadonlySet<RefRecord> {
    return this.#byChain.get(chainId) ?? new Set();
  }

  /** The layer's blob has been unpacked, and is what it was said to be. */
  confirm(record: RefRecord): void {
    record.claim = 'unpacked';
  }

  /** It is not: nobody finds the record any more. */
  refute(record: RefRecord): void {
    record.claim = 'refuted';
    this.#unchain(record);
  }

  byName(name: string): ReadonlySet<RefRecord> {
    return this.#byName.get(name) ?? new Set();
  }

  names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /** All but the empty tree. */
  *all(): Generator<RefRecord> {
    for (const record of this.#records.values()) if (record.id !== scratchId) yield record;
  }

  parents(record: RefRecord): RefRecord[] {
    return parentsOf(record.origin).map((id) => this.require(id));
  }

  /** All that the record is built on, each once. */
  ancestors(record: RefRecord): readonly RefRecord[] {
    const found = new Set<RefRecord>();
    const pending = this.parents(record);
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (found.has(at)) continue;
      found.add(at);
      pending.push(...this.parents(at));
    }
    return [...found];
  }

  /** Records a new tree. A mutable one without a name is written when it is frozen or committed: it would not survive a restart. */
  create(options: NewRecord): RefRecord {
    return this.createAll([options])[0]!;
  }

  /** Records several new trees in one transaction; each may be named as parent by `id` by the ones after it. */
  createAll(options: readonly (NewRecord & { readonly id?: RefId })[]): RefRecord[] {
    const records = options.map((each) => blankRecord(each.id ?? newRefId(), each));
    this.#write(records);
    for (const record of records) this.#add(record);
    return records;
  }

  /** Records a new tree, held once, whose snapshot `make` makes; what it is given belongs in the snapshot's transaction. */
  async createWith(
    options: NewRecord & { readonly id: RefId },
    make: (write: () => void) => Promise<void>,
  ): Promise<RefRecord> {
    const record = blankRecord(options.id, options);
    await make(() => this.#write([record]));
    this.#add(record);
    this.retain(record);
    return record;
  }

  #write(records: readonly RefRecord[]): void {
    const stored = records.filter((record) => record.state !== 'mutable' || record.name !== undefined);
    if (stored.length > 0) this.#table.put(stored);
  }

  /** Writes a record's state, name and generation after they changed. */
  update(record: RefRecord, change: RecordChange): void {
    const before = apply(record, change);
    try {
      this.#table.put([record]);
    } catch (error) {
      Object.assign(record, before);
      throw error;
    }
    this.#updated(record, before.name);
  }

  /** The same, where `write` belongs in the transaction in which `commit` changes the snapshot. */
  async updateWith(
    record: RefRecord,
    change: RecordChange,
    commit: (write: () => void) => Promise<void>,
  ): Promise<void> {
    const before = apply(record, change);
    try {
      await commit(() => this.#table.put([record]));
    } catch (error) {
      Object.assign(record, before);
      throw error;
    }
    this.#updated(record, before.name);
  }

  /** A frozen tree is going to be written to: the id that it was known under is gone. */
  thaw(record: RefRecord): void {
    const id = publicId(record);
    const before = apply(record, { state: 'mutable' });
    try {
      transaction(this.#database, () => {
        this.#table.put([record]);
        this.#deleteRows(id, undefined);
      });
    } catch (error) {
      Object.assign(record, before);
      throw error;
    }
    this.setSize(record, undefined);
  }

  #updated(record: RefRecord, nameBefore: string | undefined): void {
    if (nameBefore !== undefined && record.name === undefined) this.#unname(nameBefore, record);
  }

  /** Takes the name from all that has it. Answers what had it. */
  dropName(name: string): readonly RefRecord[] {
    const records = [...this.byName(name)];
    this.#table.unname(records.map(({ id }) => id));
    for (const record of records) {
      record.name = undefined;
      this.#unname(name, record);
    }
    return records;
  }

  addBlob(record: RefRecord, blob: StoredBlob): void {
    if (record.blobs.some(({ descriptor }) => descriptor.digest === blob.descriptor.digest)) return;
    this.#table.putBlob(record.id, blob);
    record.blobs = [...record.blobs, blob];
    this.#ownBlob(blob.descriptor.digest, record);
  }

  setSize(record: RefRecord, size: number | undefined): void {
    record.size = size;
    this.#noteUse(record);
  }

  retain(record: RefRecord): void {
    record.handles++;
  }

  release(record: RefRecord): void {
    record.handles--;
    if (record.handles > 0) return;
    record.lastUsedAt = new Date();
    record.usageCount++;
    this.#noteUse(record);
  }

  isPrunable(record: RefRecord): boolean {
    return this.#records.get(record.id) === record && record.handles === 0 && !this.#children.has(record.id);
  }

  /** Takes a record that nothing needs out of the graph. `erase` has to follow. */
  detach(record: RefRecord): void {
    if (!this.isPrunable(record)) {
      throw new KilnError('internal', `record ${record.id} is in use and cannot be removed`);
    }
    this.#records.delete(record.id);
    this.#used.delete(record);
    this.#unchain(record);
    if (record.name !== undefined) this.#unname(record.name, record);
    for (const parent of parentsOf(record.origin)) this.#countChild(parent, -1);
    for (const { descriptor } of record.blobs) this.#disownBlob(descriptor.digest, record);
  }

  /**
   * Removes detached records for good (children before parents), with their snapshots and what belongs to them in other rooms' tables.
   * The database is written at once; when that fails, the records are back in the graph, and nothing is removed.
   */
  async erase(records: readonly RefRecord[]): Promise<readonly Removal[]> {
    try {
      return await this.#snapshotter.removeAll(records.map(snapshotOf), (layerDirs) => {
        this.#table.delete(records.map((record) => record.id));
        for (const [index, record] of records.entries()) this.#deleteRows(publicId(record), layerDirs[index]);
      });
    } catch (error) {
      for (const record of records.toReversed()) {
        this.#add(record);
        this.#noteUse(record);
      }
      throw error;
    }
  }

  /** Deletes the blobs of erased records that nothing else needs. */
  async deleteBlobs(records: readonly RefRecord[]): Promise<void> {
    for (const { descriptor } of records.flatMap(({ blobs }) => blobs)) {
      const { digest } = descriptor;
      if (!this.ownsBlob(digest) && !this.#images.holds(digest)) await this.#content.delete(digest);
    }
  }

  ownsBlob(digest: Digest): boolean {
    return this.#blobOwners.has(digest);
  }

  /** Bytes of those of the record's blobs that are in the content store and that no older record has. */
  blobSize(record: RefRecord, sizes: ReadonlyMap<Digest, number>): number {
    return record.blobs.reduce(
      (sum, { descriptor: { digest } }) =>
        sum + (this.#blobOwners.get(digest)?.[0] === record ? (sizes.get(digest) ?? 0) : 0),
      0,
    );
  }

  /** The records that are the layers of an image of this tree, bottom first. */
  layers(record: RefRecord): RefRecord[] {
    return this.#layerIds(record).map((id) => this.require(id as RefId));
  }

  /** `known`: the layers of merges and diffs, each found once however often it is part of others. */
  #layerIds(record: RefRecord, known = new Map<RefRecord, readonly string[]>()): string[] {
    const own: string[] = [];
    let at = record;
    while (at.origin.kind === 'layer') {
      own.push(at.id);
      if (at.origin.parent === undefined) return own.reverse();
      at = this.require(at.origin.parent);
    }
    const joined = known.get(at) ?? this.#joinedLayerIds(at, known);
    known.set(at, joined);
    return [...joined, ...own.reverse()];
  }

  #joinedLayerIds({ id, origin }: RefRecord, known: Map<RefRecord, readonly string[]>): string[] {
    switch (origin.kind) {
      case 'merge':
        return joinLayers(origin.parents.map((parent) => this.#layerIds(this.require(parent), known)));
      case 'diff': {
        const lower = origin.lower === undefined ? [] : this.#layerIds(this.require(origin.lower), known);
        return layersAbove(lower, this.#layerIds(this.require(origin.upper), known)) ?? [id];
      }
      case 'layer':
        return [id];
      default:
        return origin satisfies never;
    }
  }

  /** Writes the uses noted so far. */
  flush(): void {
    clearTimeout(this.#useTimer);
    this.#useTimer = undefined;
    this.#writeUses([...this.#used]);
  }

  /** Writes some of them, and the rest a moment later: a build may have used thousands of records. */
  #flushSome(): void {
    this.#useTimer = undefined;
    const written = this.#writeUses(this.#used.values().take(usesAtOnce).toArray());
    if (this.#used.size > 0) this.#flushAfter(written ? usePause : useDelay);
  }

  #flushAfter(milliseconds: number): void {
    this.#useTimer ??= setTimeout(() => this.#flushSome(), milliseconds).unref();
  }

  /** Answers whether they are written. What cannot be, on a full disk, waits for the next time. */
  #writeUses(records: readonly RefRecord[]): boolean {
    try {
      if (records.length > 0) this.#table.putUse(records);
    } catch (error) {
      if (!isDatabaseError(error)) throw error;
      return false;
    }
    for (const record of records) this.#used.delete(record);
    return true;
  }

  #noteUse(record: RefRecord): void {
    if (record.id === scratchId) return;
    this.#used.add(record);
    this.#flushAfter(useDelay);
  }

  #add(record: RefRecord): void {
    this.#records.set(record.id, record);
    if (record.chainId) {
      const chained = this.#byChain.get(record.chainId) ?? new Set();
      this.#byChain.set(record.chainId, chained.add(record));
    }
    if (record.name !== undefined) {
      const named = this.#byName.get(record.name) ?? new Set();
      this.#byName.set(record.name, named.add(record));
    }
    for (const { descriptor } of record.blobs) this.#ownBlob(descriptor.digest, record);
    for (const parent of parentsOf(record.origin)) this.#countChild(parent, 1);
  }

  #countChild(parent: RefId, change: 1 | -1): void {
    const count = (this.#children.get(parent) ?? 0) + change;
    if (count > 0) this.#children.set(parent, count);
    else this.#children.delete(parent);
  }

  #ownBlob(digest: Digest, record: RefRecord): void {
    this.#blobOwners.set(digest, [...(this.#blobOwners.get(digest) ?? []), record]);
  }

  #disownBlob(digest: Digest, record: RefRecord): void {
    const others = this.#blobOwners.get(digest)?.filter((owner) => owner !== record) ?? [];
    if (others.length > 0) this.#blobOwners.set(digest, others);
    else this.#blobOwners.delete(digest);
  }

  #unchain(record: RefRecord): void {
    if (!record.chainId) return;
    const chained = this.#byChain.get(record.chainId);
    chained?.delete(record);
    if (chained?.size === 0) this.#byChain.delete(record.chainId);
  }

  #unname(name: string, record: RefRecord): void {
    const named = this.#byName.get(name);
    named?.delete(record);
    if (named?.size === 0) this.#byName.delete(name);
  }
}

/** Answers what it was before. */
function apply(record: RefRecord, change: RecordChange) {
  const { state, generation, name } = record;
  Object.assign(record, change);
  return { state, generation, name };
}

function blankRecord(id: RefId, options: NewRecord): RefRecord {
  const { origin, state, description, type, chainId, name, createdAt, blobs } = options;
  return {
    id,
    origin,
    state,
    description,
    type: type ?? 'regular',
    createdAt: createdAt ?? new Date(),
    chainId,
    claim: 'claimed',
    name,
    generation: 0,
    blobs: blobs ?? [],
    size: undefined,
    lastUsedAt: undefined,
    usageCount: 0,
    handles: 0,
  };
}
