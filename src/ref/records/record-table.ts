import type { DatabaseSync } from 'node:sqlite';
import { removeRows } from '../../base/database/remove-rows.ts';
import { transaction } from '../../base/database/transaction.ts';
import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { RecordType, RefId } from '../ref.ts';
import type { RecordOrigin, RecordState, RefRecord, StoredBlob } from './ref-record.ts';

interface RecordRow {
  readonly id: string;
  readonly origin: string;
  readonly type: string;
  readonly description: string;
  readonly created_at: number;
  readonly chain_id: string | null;
  readonly name: string | null;
  readonly generation: number;
  readonly state: string;
  readonly size: number | null;
  readonly last_used_at: number | null;
  readonly usage_count: number;
}

interface BlobRow {
  readonly record: string;
  readonly descriptor: string;
  readonly diff_id: string;
  readonly epoch: number | null;
  readonly created_at: number | null;
  readonly description: string | null;
}

/** The records in the database. Each call is one transaction, or a part of the one that is open. */
export class RecordTable {
  readonly #database: DatabaseSync;
  readonly #put;
  readonly #delete;
  readonly #deleteBlobs;
  readonly #putBlob;
  readonly #use;
  readonly #unname;

  constructor(database: DatabaseSync) {
    database.exec(`
      CREATE TABLE IF NOT EXISTS ref_record (
        id TEXT PRIMARY KEY, origin TEXT NOT NULL, type TEXT NOT NULL, description TEXT NOT NULL,
        created_at INTEGER NOT NULL, chain_id TEXT, name TEXT, generation INTEGER NOT NULL, state TEXT NOT NULL,
        size INTEGER, last_used_at INTEGER, usage_count INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS ref_blob (
        record TEXT NOT NULL, digest TEXT NOT NULL, descriptor TEXT NOT NULL, diff_id TEXT NOT NULL,
        epoch INTEGER, created_at INTEGER, description TEXT,
        PRIMARY KEY (record, digest)
      ) STRICT, WITHOUT ROWID;
    `);
    this.#database = database;
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO ref_record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#delete = database.prepare('DELETE FROM ref_record WHERE id = ?');
    this.#deleteBlobs = database.prepare('DELETE FROM ref_blob WHERE record = ?');
    this.#putBlob = database.prepare('INSERT OR REPLACE INTO ref_blob VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#unname = database.prepare('UPDATE ref_record SET name = NULL WHERE id = ?');
    this.#use = database.prepare(
      'UPDATE ref_record SET last_used_at = ?, usage_count = ?, size = ? WHERE id = ?',
    );
  }

  /** Returns all records. No handles are counted yet. */
  load(): RefRecord[] {
    const blobs = new Map<string, StoredBlob[]>();
    for (const row of this.#database.prepare('SELECT * FROM ref_blob').all() as unknown as BlobRow[]) {
      const list = blobs.get(row.record) ?? [];
      blobs.set(row.record, list);
      list.push(blobOf(row));
    }
    const records: RefRecord[] = [];
    for (const row of this.#database.prepare('SELECT * FROM ref_record').iterate()) {
      records.push(recordOf(row as unknown as RecordRow, blobs.get(String(row.id)) ?? []));
    }
    return records;
  }

  /** Creates or replaces records with their blobs. */
  put(records: readonly RefRecord[]): void {
    transaction(this.#database, () => {
      for (const record of records) {
        this.#put.run(
          record.id,
          JSON.stringify(record.origin),
          record.type,
          record.description,
          record.createdAt.getTime(),
          record.chainId ?? null,
          record.name ?? null,
          record.generation,
          record.state,
          record.size ?? null,
          record.lastUsedAt?.getTime() ?? null,
          record.usageCount,
        );
        for (const blob of record.blobs) this.#insertBlob(record.id, blob);
      }
    });
  }

  putBlob(record: RefId, blob: StoredBlob): void {
    this.#insertBlob(record, blob);
  }

  delete(ids: readonly RefId[]): void {
    if (ids.length === 0) return;
    removeRows(this.#database, () => {
      for (const id of ids) {
        this.#delete.run(id);
        this.#deleteBlobs.run(id);
      }
    });
  }

  /** Removes the names of records. */
  unname(ids: readonly RefId[]): void {
    removeRows(this.#database, () => {
      for (const id of ids) this.#unname.run(id);
    });
  }

  /** Writes what changes with use: the time of the last use, the number of uses, and the size if it is known. */
  putUse(records: Iterable<RefRecord>): void {
    transaction(this.#database, () => {
      for (const { id, lastUsedAt, usageCount, size } of records) {
        this.#use.run(lastUsedAt?.getTime() ?? null, usageCount, size ?? null, id);
      }
    });
  }

  #insertBlob(record: RefId, blob: StoredBlob): void {
    this.#putBlob.run(
      record,
      blob.descriptor.digest,
      JSON.stringify(blob.descriptor),
      blob.diffId,
      blob.epoch ?? null,
      blob.createdAt?.getTime() ?? null,
      blob.description ?? null,
    );
  }
}

function recordOf(row: RecordRow, blobs: readonly StoredBlob[]): RefRecord {
  return {
    id: row.id as RefId,
    origin: JSON.parse(row.origin) as RecordOrigin,
    type: row.type as RecordType,
    description: row.description,
    createdAt: new Date(row.created_at),
    chainId: (row.chain_id ?? undefined) as Digest | undefined,
    claim: 'claimed',
    name: row.name ?? undefined,
    generation: row.generation,
    state: row.state as RecordState,
    blobs,
    size: row.size ?? undefined,
    lastUsedAt: row.last_used_at === null ? undefined : new Date(row.last_used_at),
    usageCount: row.usage_count,
    handles: 0,
  };
}

function blobOf(row: BlobRow): StoredBlob {
  return {
    descriptor: JSON.parse(row.descriptor) as Descriptor,
    diffId: row.diff_id as Digest,
    ...(row.epoch === null ? {} : { epoch: row.epoch }),
    ...(row.created_at === null ? {} : { createdAt: new Date(row.created_at) }),
    ...(row.description === null ? {} : { description: row.description }),
  };
}
