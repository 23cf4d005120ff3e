import type { CacheDirectory } from '../cache-directories.ts';
import type { HandleServices } from '../handles/handle-services.ts';
import { WritableHandle } from '../handles/writable-handle.ts';
import type { RefRecord } from '../records/ref-record.ts';
import type { CacheDirectoryLocks } from './cache-directory-locks.ts';

/** One of the handles to a cache directory. */
export class CacheDirectoryHandle extends WritableHandle implements CacheDirectory {
  readonly fresh: boolean;
  readonly #locks: CacheDirectoryLocks;
  readonly #isUse: boolean;

  /** `isUse`: false for one who only looks. */
  constructor(
    {
      record,
      fresh,
      isUse = true,
    }: { readonly record: RefRecord; readonly fresh: boolean; readonly isUse?: boolean },
    locks: CacheDirectoryLocks,
    services: HandleServices,
  ) {
    super(record, services);
    this.fresh = fresh;
    this.#isUse = isUse;
    this.#locks = locks;
  }

  protected onRelease(record: RefRecord): void {
    this.#locks.release(record, { isUse: this.#isUse });
    this.services.lifecycle.released(record);
  }
}
