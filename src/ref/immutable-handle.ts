import { KilnError } from '../base/errors.ts';
import type { WaitContext } from '../base/progress.ts';
import type { SnapshotId, SnapshotMount } from '../snapshot/snapshot.ts';
import type { ImmutableRef, LayerInfo, MountedView, RefId } from './ref.ts';
import type { RefOperations } from './ref-operations.ts';
import { publicId, type RefRecord, snapshotOf } from './ref-record.ts';

/** One handle of a committed or frozen record; made with the hold it stands for. */
export class ImmutableHandle implements ImmutableRef {
  readonly id: RefId;
  readonly #record: RefRecord;
  readonly #store: RefOperations;
  #released = false;

  constructor(record: RefRecord, store: RefOperations) {
    this.#record = record;
    this.#store = store;
    this.id = publicId(record);
  }

  /** Throws `internal` when the handle was released. */
  get record(): RefRecord {
    if (this.#released) throw new KilnError('internal', `ref ${this.id} is used after its release`);
    return this.#record;
  }

  get description(): string {
    return this.#record.description;
  }

  clone(): ImmutableRef {
    return this.#store.retain(this.record);
  }

  /** Ends this handle without letting go: another one takes its hold over. */
  surrender(): void {
    this.#released = true;
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#store.release(this.#record);
  }

  async snapshot(context?: WaitContext): Promise<SnapshotId> {
    const { record } = this;
    await this.#store.finalize(record);
    await this.#store.make(record, context);
    return snapshotOf(record);
  }

  async snapshotMount(context?: WaitContext): Promise<SnapshotMount> {
    const { record } = this;
    await this.#store.make(record, context);
    return this.#store.snapshotMount(record, { readonly: true });
  }

  async mount(context?: WaitContext): Promise<MountedView> {
    const { record } = this;
    await this.#store.make(record, context);
    return this.#store.mountReadonly(record);
  }

  async layerDirs(context?: WaitContext): Promise<readonly string[]> {
    const { record } = this;
    await this.#store.make(record, context);
    return this.#store.layerDirs(record);
  }

  layers(): readonly LayerInfo[] {
    return this.#store.layers(this.record);
  }
}
