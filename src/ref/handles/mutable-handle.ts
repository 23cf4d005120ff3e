import type { RefRecord } from '../records/ref-record.ts';
import type { ImmutableRef, MutableRef, RecordType } from '../ref.ts';
import { ImmutableHandle } from './immutable-handle.ts';
import { WritableHandle } from './writable-handle.ts';

/** The one handle to a tree that is being made. */
export class MutableHandle extends WritableHandle implements MutableRef {
  async commit(type?: RecordType): Promise<ImmutableRef> {
    const { record } = this;
    await this.services.lifecycle.commit(record, type);
    return this.#sealed(record);
  }

  async freeze(): Promise<ImmutableRef> {
    const { record } = this;
    this.services.lifecycle.freeze(record);
    return this.#sealed(record);
  }

  protected onRelease(record: RefRecord): Promise<void> {
    return this.services.lifecycle.discard(record);
  }

  /** The new handle takes over from this one. */
  #sealed(record: RefRecord): ImmutableRef {
    this.end();
    return new ImmutableHandle(record, this.services);
  }
}
