import type { CacheDirectories, CacheDirectory, CacheDirectoryOptions } from '../cache-directories.ts';
import type { HandleServices } from '../handles/handle-services.ts';
import { finalRecordOf } from '../handles/immutable-handle.ts';
import type { ImmutableRef } from '../ref.ts';
import { CacheDirectoryHandle } from './cache-directory-handle.ts';
import { CacheDirectoryLocks } from './cache-directory-locks.ts';

/** Cache directories as mutable records with a name. */
export class LocalCacheDirectories implements CacheDirectories {
  readonly #services: HandleServices;
  readonly #locks: CacheDirectoryLocks;

  constructor(services: HandleServices) {
    this.#services = services;
    this.#locks = new CacheDirectoryLocks(services.records);
  }

  async acquire(
    key: string,
    parent: ImmutableRef | undefined,
    options: CacheDirectoryOptions,
  ): Promise<CacheDirectory> {
    const { sharing, signal, progress, ...recordOptions } = options;
    const { records, lifecycle } = this.#services;
    const name = parent ? `${keyWithParent(key)}${parent.id}` : key;
    const make = async () => {
      const below = parent && (await finalRecordOf(parent, this.#services));
      return await lifecycle.prepare(below, { ...recordOptions, name }, { signal, progress });
    };
    const held = await this.#locks.acquire(name, sharing, make, signal);
    records.setSize(held.record, undefined);
    return new CacheDirectoryHandle(held, this.#locks, this.#services);
  }

  async drop(key: string, { withParent }: { readonly withParent: boolean }): Promise<void> {
    const { records, lifecycle } = this.#services;
    const names = withParent ? records.names().filter((name) => name.startsWith(keyWithParent(key))) : [key];
    for (const name of names) {
      for (const record of this.#locks.drop(name)) if (record.handles === 0) lifecycle.retire(record.id);
    }
  }
}

/** The names of a key's directories with a parent begin with this; the id of the parent follows. */
function keyWithParent(key: string): string {
  return `${key} on `;
}
