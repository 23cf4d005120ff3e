import { KilnError } from '../base/errors.ts';
import type { SnapshotMount } from '../snapshot/snapshot.ts';
import type { ImmutableRef, MountedView, MutableRef, RefId } from './ref.ts';
import type { RefOperations } from './ref-operations.ts';
import type { RefRecord } from './ref-record.ts';

/** The one handle of a mutable record. */
export class MutableHandle implements MutableRef {
  readonly id: RefId;
  readonly #record: RefRecord;
  readonly #store: RefOperations;
  #ended = false;

  constructor(record: RefRecord, store: RefOperations) {
    this.#record = record;
    this.#store = store;
    this.id = record.id;
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

  async commit(): Promise<ImmutableRef> {
    const ref = await this.#store.commit(this.#live());
    this.#ended = true;
    return ref;
  }

  async freeze(): Promise<ImmutableRef> {
    const ref = await this.#store.freeze(this.#live());
    this.#ended = true;
    return ref;
  }

  async release(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#store.discard(this.#record);
  }

  #live(): RefRecord {
    if (this.#ended) {
      throw new KilnError('internal', `mutable ref ${this.id} is used after its commit or release`);
    }
    return this.#record;
  }
}
