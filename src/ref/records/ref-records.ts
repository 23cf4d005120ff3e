import type { DatabaseSync } from 'node:sqlite';
import { transaction } from '../../base/database/transaction.ts';
import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { withSourcesOf } from '../../oci/layer-sources.ts';
import type { Removal, SnapshotId, Snapshotter } from '../../snapshot/snapshot.ts';
import type { RecordType, RefId } from '../ref.ts';
import { RecordIndex } from './record-index.ts';
import { RecordTable } from './record-table.ts';
import { RecordUses } from './record-uses.ts';
import { recoverRecords } from './recover-records.ts';
import {
  type NewRecord,
  newRecord,
  newRefId,
  parentsOf,
  publicId,
  type RecordState,
  type RefRecord,
  type StoredBlob,
  scratchId,
  snapshotOf,
} from './ref-record.ts';

export interface RefRecordsOptions {
  readonly database: DatabaseSync;
  readonly snapshotter: Snapshotter;
  /** Snapshots of layers that were never read as a whole. */
  readonly unverified: ReadonlySet<SnapshotId>;
  /** Deletes the rows that other rooms have on a record, in the transaction in which the record goes. */
  readonly deleteRows?: (id: RefId, layerDir: string | undefined) => void;
}

interface RecordChange {
  readonly state: RecordState;
  readonly generation?: number;
  readonly type?: RecordType;
}

/** Opens the records of the database, without what a killed process left half-made (see `recoverRecords`). */
export async function openRefRecords(options: RefRecordsOptions): Promise<RefRecords> {
  const table = new RecordTable(options.database);
  const records = await recoverRecords(table, options.snapshotter, options.unverified);
  return new RefRecords(options, table, records);
}

/** The graph of records, in memory and in the database: parents and children, holders, and the owners of blobs and names. */
export class RefRecords {
  readonly #table: RecordTable;
  readonly #snapshotter: Snapshotter;
  readonly #database: DatabaseSync;
  readonly #deleteRows: (id: RefId, layerDir: string | undefined) => void;
  readonly #uses: RecordUses;
  readonly #records = new Map<RefId, RefRecord>();
  readonly #byChain = new RecordIndex<Digest>();
  readonly #byName = new RecordIndex<string>();
  /** The first owner counts the size of the blob as its own. */
  readonly #byBlob = new RecordIndex<Digest>();
  /** How many records have this one in their origin. */
  readonly #children = new Map<RefId, number>();

  constructor(
    { database, snapshotter, deleteRows }: RefRecordsOptions,
    table: RecordTable,
    records: Iterable<RefRecord>,
  ) {
    this.#table = table;
    this.#snapshotter = snapshotter;
    this.#database = database;
    this.#deleteRows = deleteRows ?? (() => {});
    this.#uses = new RecordUses(table);
    for (const record of records) this.#add(record);
  }

  find(id: RefId): RefRecord | undefined {
    return this.#records.get(id);
  }

  /** Finds the record if it is still in the generation that this id names. */
  findPublic(id: RefId): RefRecord | undefined {
    const record = this.find(id.split('.')[0] as RefId);
    return record && publicId(record) === id ? record : undefined;
  }

  /** Returns a record whose id comes from a record that exists. Throws `not_found`. */
  require(id: RefId): RefRecord {
    const record = this.#records.get(id);
    if (!record) throw new KilnError('not_found', `there is no record ${id}: it was pruned`);
    return record;
  }

  /** Returns the records that claim this chain id: one that is unpacked, or several with different blobs that are not. */
  byChain(chainId: Digest): ReadonlySet<RefRecord> {
    return this.#byChain.get(chainId);
  }

  /** Notes that the blob of a layer was unpacked and gave what its chain id claims. */
  confirm(record: RefRecord): void {
    record.claim = 'unpacked';
  }

  /** Notes that the blob of a layer gave something else than its chain id claims: `byChain` no longer returns the record. */
  refute(record: RefRecord): void {
    record.claim = 'refuted';
    if (record.chainId) this.#byChain.delete(record.chainId, record);
  }

  byName(name: string): ReadonlySet<RefRecord> {
    return this.#byName.get(name);
  }

  names(): readonly string[] {
    return this.#byName.keys();
  }

  /** Yields all records but the empty tree. */
  *all(): Generator<RefRecord> {
    for (const record of this.#records.values()) if (record.id !== scratchId) yield record;
  }

  parents(record: RefRecord): RefRecord[] {
    return parentsOf(record.origin).map((id) => this.require(id));
  }

  /** Returns all records that this one is built on, each once. */
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

  create(options: NewRecord): RefRecord {
    return this.createAll([options])[0]!;
  }

  /** Records several new trees in one transaction; each may be the parent, by its `id`, of those after it. */
  createAll(options: readonly (NewRecord & { readonly id?: RefId })[]): RefRecord[] {
    const records = options.map((each) => newRecord(each.id ?? newRefId(), each));
    this.#write(records);
    for (const record of records) this.#add(record);
    return records;
  }

  /** Records a new tree, held once, whose snapshot `make` makes. `make` must call `write` in the snapshot's transaction. */
  async createWith(
    options: NewRecord & { readonly id: RefId },
    make: (write: () => void) => Promise<void>,
  ): Promise<RefRecord> {
    const record = newRecord(options.id, options);
    await make(() => this.#write([record]));
    this.#add(record);
    this.retain(record);
    return record;
  }

  /** A mutable tree without a name is not written before it is frozen or committed: it would not survive a restart. */
  #write(records: readonly RefRecord[]): void {
    const stored = records.filter((record) => record.state !== 'mutable' || record.name !== undefined);
    if (stored.length > 0) this.#table.put(stored);
  }

  /** Writes a change of a record's state and generation. */
  update(record: RefRecord, change: RecordChange): void {
    const before = apply(record, change);
    try {
      this.#table.put([record]);
    } catch (error) {
      Object.assign(record, before);
      throw error;
    }
  }

  /** The same; `commit`, which changes the snapshot, must call `write` in its transaction. */
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
  }

  /** Makes a frozen tree mutable. Its public id is gone, with the rows that other rooms have on it. */
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

  /** Removes a name from all records that have it, and returns them. */
  dropName(name: string): readonly RefRecord[] {
    const records = [...this.byName(name)];
    this.#table.unname(records.map(({ id }) => id));
    for (const record of records) {
      record.name = undefined;
      this.#byName.delete(name, record);
    }
    return records;
  }

  /** Gives a record that has a name another one, and says when it was last used. */
  rename(record: RefRecord, name: string, lastUsedAt: Date): void {
    const before = { name: record.name!, lastUsedAt: record.lastUsedAt };
    Object.assign(record, { name, lastUsedAt });
    try {
      this.#table.put([record]);
    } catch (error) {
      Object.assign(record, before);
      throw error;
    }
    this.#byName.delete(before.name, record);
    this.#byName.add(name, record);
  }

  addBlob(record: RefRecord, blob: StoredBlob): void {
    if (record.blobs.some(({ descriptor }) => descriptor.digest === blob.descriptor.digest)) return;
    this.#table.putBlob(record.id, blob);
    record.blobs = [...record.blobs, blob];
    this.#byBlob.add(blob.descriptor.digest, record);
  }

  /** Notes that a blob, if it is one of the record's, is also in the repositories that `other` says. */
  addSources(record: RefRecord, other: Descriptor): void {
    const blob = record.blobs.find(({ descriptor }) => descriptor.digest === other.digest);
    if (!blob) return;
    const descriptor = withSourcesOf(blob.descriptor, other);
    if (descriptor === blob.descriptor) return;
    const learnt = { ...blob, descriptor };
    this.#table.putBlob(record.id, learnt);
    record.blobs = record.blobs.map((each) => (each === blob ? learnt : each));
  }

  ownsBlob(digest: Digest): boolean {
    return this.#byBlob.has(digest);
  }

  /** Returns the bytes of those of the record's blobs that are in the content store (`sizes`) and that no older record has. */
  blobSize(record: RefRecord, sizes: ReadonlyMap<Digest, number>): number {
    const own = record.blobs.filter(({ descriptor }) => {
      const [first] = this.#byBlob.get(descriptor.digest);
      return first === record;
    });
    return own.reduce((sum, { descriptor }) => sum + (sizes.get(descriptor.digest) ?? 0), 0);
  }

  setSize(record: RefRecord, size: number | undefined): void {
    record.size = size;
    this.#noteUse(record);
  }

  retain(record: RefRecord): void {
    record.handles++;
  }

  /** A handle that only looked does not count as use. */
  release(record: RefRecord, { isUse }: { readonly isUse: boolean } = { isUse: true }): void {
    record.handles--;
    if (record.handles > 0 || !isUse) return;
    record.lastUsedAt = new Date();
    record.usageCount++;
    this.#noteUse(record);
  }

  isPrunable(record: RefRecord): boolean {
    return this.#records.get(record.id) === record && record.handles === 0 && !this.#children.has(record.id);
  }

  /** Takes a record that is prunable out of the graph. `erase` has to follow. */
  detach(record: RefRecord): void {
    if (!this.isPrunable(record)) {
      throw new KilnError('internal', `record ${record.id} is in use and cannot be removed`);
    }
    this.#records.delete(record.id);
    this.#uses.forget(record);
    if (record.chainId) this.#byChain.delete(record.chainId, record);
    if (record.name !== undefined) this.#byName.delete(record.name, record);
    for (const parent of parentsOf(record.origin)) this.#countChild(parent, -1);
    for (const { descriptor } of record.blobs) this.#byBlob.delete(descriptor.digest, record);
  }

  /**
   * Removes detached records for good (children before parents), with their snapshots and the rows that other rooms have on them.
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

  /** Writes the uses noted so far. */
  flush(): void {
    this.#uses.flush();
  }

  #noteUse(record: RefRecord): void {
    if (record.id !== scratchId) this.#uses.note(record);
  }

  #add(record: RefRecord): void {
    this.#records.set(record.id, record);
    if (record.chainId && record.claim !== 'refuted') this.#byChain.add(record.chainId, record);
    if (record.name !== undefined) this.#byName.add(record.name, record);
    for (const { descriptor } of record.blobs) this.#byBlob.add(descriptor.digest, record);
    for (const parent of parentsOf(record.origin)) this.#countChild(parent, 1);
  }

  #countChild(parent: RefId, change: 1 | -1): void {
    const count = (this.#children.get(parent) ?? 0) + change;
    if (count > 0) this.#children.set(parent, count);
    else this.#children.delete(parent);
  }
}

/** Changes the record, and returns what it was before. */
function apply(record: RefRecord, change: RecordChange) {
  const { state, generation, type } = record;
  Object.assign(record, change);
  return { state, generation, type };
}
