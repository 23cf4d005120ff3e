import { KilnError } from '../../base/errors.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import type { RefRecord } from '../records/ref-record.ts';
import type { MountedView, RefId, WritableTree } from '../ref.ts';
import type { HandleServices } from './handle-services.ts';

/** A handle to a mutable record. Those that extend it say how it ends. */
export abstract class WritableHandle implements WritableTree {
  readonly id: RefId;
  protected readonly services: HandleServices;
  readonly #record: RefRecord;
  #hasEnded = false;

  constructor(record: RefRecord, services: HandleServices) {
    this.#record = record;
    this.services = services;
    this.id = record.id;
  }

  mount(): Promise<MountedView> {
    return this.services.files.mountWritable(this.record);
  }

  snapshotMount(): Promise<SnapshotMount> {
    return this.services.files.snapshotMount(this.record, { readonly: false });
  }

  plainDir(): Promise<string | undefined> {
    return this.services.files.plainDir(this.record);
  }

  async release(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.onRelease(this.#record);
  }

  protected abstract onRelease(record: RefRecord): void | Promise<void>;

  /** Throws `internal` when the handle has ended. */
  protected get record(): RefRecord {
    if (this.#hasEnded) {
      throw new KilnError('internal', `mutable ref ${this.id} is used after its commit or release`);
    }
    return this.#record;
  }

  protected end(): void {
    this.#hasEnded = true;
  }
}
