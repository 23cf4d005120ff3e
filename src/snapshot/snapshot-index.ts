import type { DatabaseSync } from 'node:sqlite';
import { removeRows } from '../base/database/remove-rows.ts';
import { transaction } from '../base/database/transaction.ts';
import { KilnError } from '../base/errors.ts';
import { type SnapshotId, type SnapshotInfo, snapshotId } from './snapshot.ts';

/** What is recorded of one snapshot. */
export interface SnapshotRecord extends SnapshotInfo {
  /**
   * The layers, bottom first, where they are not simply the parent's with the snapshot's own on top (merges and diffs).
   * Each snapshotter names its layers in its own way.
   */
  readonly layers?: readonly string[];
  /** What is mounted instead of `layers`, where that differs. */
  readonly view?: readonly string[];
}

interface Row {
  readonly id: string;
  readonly state: 'active' | 'committed';
  readonly parents: string;
  readonly layers: string | null;
  readonly view: string | null;
}

/** The snapshotter's records: in memory for look-ups, in a table for the next start; a change is in both or in neither. */
export class SnapshotIndex {
  readonly #records = new Map<SnapshotId, SnapshotRecord>();
  readonly #children = new Map<SnapshotId, number>();
  readonly #reserved = new Set<SnapshotId>();
  readonly #database: DatabaseSync;
  readonly #insert;
  readonly #commit;
  readonly #delete;

  /** `name` is the snapshotter's: each kind has its own table. */
  constructor(database: DatabaseSync, name: 'overlay' | 'native') {
    this.#database = database;
    const table = `snapshot_${name}`;
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY, state TEXT NOT NULL, parents TEXT NOT NULL, layers TEXT, view TEXT) STRICT, WITHOUT ROWID`,
    );
    this.#insert = database.prepare(
      `INSERT INTO ${table} (id, state, parents, layers, view) VALUES (?, ?, ?, ?, ?)`,
    );
    this.#commit = database.prepare(`UPDATE ${table} SET state = 'committed' WHERE id = ?`);
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE id = ?`);
    const select = database.prepare(`SELECT id, state, parents, layers, view FROM ${table}`);
    for (const row of select.iterate()) this.#add(recordOf(row as unknown as Row));
  }

  get(id: SnapshotId): SnapshotRecord | undefined {
    return this.#records.get(id);
  }

  /** Throws `not_found`. */
  require(id: SnapshotId): SnapshotRecord {
    const record = this.#records.get(id);
    if (!record) throw new KilnError('not_found', `snapshot ${id} does not exist`);
    return record;
  }

  /** The record of a snapshot that can be a parent. Throws `not_found`, `failed_precondition`. */
  requireCommitted(id: SnapshotId): SnapshotRecord {
    const record = this.require(id);
    if (record.state !== 'committed') {
      throw new KilnError('failed_precondition', `snapshot ${id} is still being written: commit it first`);
    }
    return record;
  }

  all(): IterableIterator<SnapshotRecord> {
    return this.#records.values();
  }

  /**
   * Runs `make`, which builds the files of a new snapshot, and records what it returns together with what `alongside`
   * writes; runs `undo` when that fails. `parents` cannot be deleted meanwhile. Throws `already_exists`, `not_found`, `failed_precondition`.
   */
  async create(
    id: SnapshotId,
    parents: readonly SnapshotId[],
    make: () => SnapshotRecord | Promise<SnapshotRecord>,
    undo: () => Promise<unknown>,
    alongside: () => void = () => {},
  ): Promise<void> {
    if (this.#records.has(id) || this.#reserved.has(id)) {
      throw new KilnError('already_exists', `snapshot ${id} exists already`);
    }
    for (const parent of parents) this.requireCommitted(parent);
    this.#reserved.add(id);
    this.#count(parents, 1);
    try {
      const record = await make();
      transaction(this.#database, () => {
        this.#insert.run(
          record.id,
          record.state,
          JSON.stringify(record.parents),
          record.layers ? JSON.stringify(record.layers) : null,
          record.view ? JSON.stringify(record.view) : null,
        );
        alongside();
      });
      this.#add(record);
    } catch (error) {
      await undo();
      throw error;
    } finally {
      this.#count(parents, -1);
      this.#reserved.delete(id);
    }
  }

  /** With what `alongside` writes: both, or neither. */
  commit(id: SnapshotId, alongside: () => void = () => {}): void {
    const record = this.require(id);
    if (record.state !== 'active') {
      throw new KilnError('failed_precondition', `snapshot ${id} is committed already`);
    }
    transaction(this.#database, () => {
      this.#commit.run(id);
      alongside();
    });
    this.#records.set(id, { ...record, state: 'committed' });
  }

  /**
   * Forgets those of the snapshots that there are, each after its children, and runs `alongside`, which deletes what else
   * goes with them: all of it, or nothing. Throws `failed_precondition` when one has children that stay.
   */
  delete(ids: readonly SnapshotId[], alongside: () => void = () => {}): void {
    const going = ids.flatMap((id) => this.#records.get(id) ?? []);
    const goingChildren = new Map<SnapshotId, number>();
    for (const { id, parents } of going) {
      const children = (this.#children.get(id) ?? 0) - (goingChildren.get(id) ?? 0);
      if (children > 0) {
        throw new KilnError(
          'failed_precondition',
          `snapshot ${id} has ${children} children: remove them first`,
        );
      }
      for (const parent of parents) goingChildren.set(parent, (goingChildren.get(parent) ?? 0) + 1);
    }
    removeRows(this.#database, () => {
      alongside();
      for (const { id } of going) this.#delete.run(id);
    });
    this.#forget(going);
  }

  /** Forgets what is not whole any more, with everything built on it. */
  dropUnless(isWhole: (record: SnapshotRecord) => boolean): void {
    const broken = new Set<SnapshotRecord>();
    let found = [...this.#records.values()].filter((record) => !isWhole(record));
    while (found.length > 0) {
      for (const record of found) broken.add(record);
      const ids = new Set(found.map(({ id }) => id));
      found = [...this.#records.values()].filter(
        (record) => !broken.has(record) && record.parents.some((parent) => ids.has(parent)),
      );
    }
    if (broken.size === 0) return;
    removeRows(this.#database, () => {
      for (const { id } of broken) this.#delete.run(id);
    });
    this.#forget(broken);
  }

  #forget(records: Iterable<SnapshotRecord>): void {
    for (const { id, parents } of records) {
      this.#records.delete(id);
      this.#count(parents, -1);
    }
  }

  #add(record: SnapshotRecord): void {
    this.#records.set(record.id, record);
    this.#count(record.parents, 1);
  }

  #count(parents: readonly SnapshotId[], change: 1 | -1): void {
    for (const parent of parents) {
      const count = (this.#children.get(parent) ?? 0) + change;
      if (count > 0) this.#children.set(parent, count);
      else this.#children.delete(parent);
    }
  }
}

function recordOf({ id, state, parents, layers, view }: Row): SnapshotRecord {
  return {
    id: snapshotId(id),
    state,
    parents: parents === '[]' ? [] : (JSON.parse(parents) as SnapshotId[]),
    layers: layers === null ? undefined : (JSON.parse(layers) as string[]),
    view: view === null ? undefined : (JSON.parse(view) as string[]),
  };
}
