import { KilnError } from '../base/errors.ts';
import type { SnapshotId, SnapshotMount } from '../snapshot/snapshot.ts';
import type { CacheDirectory, MountedView, RefId } from './ref.ts';
import type { RefOperations } from './ref-operations.ts';
import { type RefRecord, snapshotOf } from './ref-record.ts';

/** One hold of a named tree. */
export class CacheDirectoryHandle implements CacheDirectory {
  readonly id: RefId;
  readonly fresh: boolean;
  readonly snapshotId: SnapshotId;
  readonly #record: RefRecord;
  readonly #store: RefOperations;
  #ended = false;

  constructor(record: RefRecord, hold: { readonly fresh: boolean }, store: RefOperations) {
    this.#record = record;
    this.#store = store;
    this.id = record.id;
    this.fresh = hold.fresh;
    this.snapshotId = snapshotOf(record);
  }

  mount(): Promise<MountedView> {
    return this.#store.mountWritable(this.#live());
  }

  snapshotMount(): Promise<SnapshotMount> {
    return this.#store.snapshotMount(this.#live(), { readonly: false });
  }

  plainDir(): Promise<string | undefined> {
    return this.#store.plainDir(this.#live());
  }

  async release(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#store.release(this.#record);
  }

  #live(): RefRecord {
    if (this.#ended) throw new KilnError('internal', `named tree ${this.id} is used after its release`);
    return this.#record;
  }
}
