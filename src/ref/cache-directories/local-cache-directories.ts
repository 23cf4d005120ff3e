import { randomUUID } from 'node:crypto';
import type { WaitContext } from '../../base/progress.ts';
import type {
  CacheDirectories,
  CacheDirectory,
  CacheDirectoryInfo,
  CacheDirectoryOptions,
} from '../cache-directories.ts';
import type { HandleServices } from '../handles/handle-services.ts';
import { finalRecordOf } from '../handles/immutable-handle.ts';
import type { ImmutableRef, RecordOptions } from '../ref.ts';
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

  list(prefix: string): readonly CacheDirectoryInfo[] {
    const { records } = this.#services;
    const keys = records.names().filter((name) => name.startsWith(prefix) && !isWithParent(name));
    return keys.flatMap((key) =>
      [...records.byName(key)].map(({ createdAt, lastUsedAt, size, handles }) => ({
        key,
        createdAt,
        lastUsedAt,
        size,
        inUse: handles > 0,
      })),
    );
  }

  share(key: string): CacheDirectory | undefined {
    const record = this.#locks.share(key);
    return (
      record && new CacheDirectoryHandle({ record, fresh: false, isUse: false }, this.#locks, this.#services)
    );
  }

  async put(
    key: string,
    usedAt: Date,
    { signal, progress, ...recordOptions }: RecordOptions & WaitContext,
    fill: (directory: string) => Promise<void>,
  ): Promise<boolean> {
    const { records, lifecycle } = this.#services;
    const isNewer = () =>
      [...records.byName(key)].some(
        ({ handles, lastUsedAt, createdAt }) => handles > 0 || (lastUsedAt ?? createdAt) > usedAt,
      );
    if (isNewer()) return false;
    // Under a name that nobody asks for, which a killed daemon leaves to be pruned.
    const name = `${unfinished}${randomUUID()}`;
    const record = await lifecycle.prepare(undefined, { ...recordOptions, name }, { signal, progress });
    const handle = new CacheDirectoryHandle(
      { record, fresh: true, isUse: false },
      this.#locks,
      this.#services,
    );
    let isPut = false;
    try {
      {
        await using view = await handle.mount();
        await fill(view.path);
      }
      if (!isNewer()) {
        // Nothing comes between these: whoever asks next gets this directory.
        this.#drop(key);
        records.rename(record, key, usedAt);
        isPut = true;
      }
    } finally {
      if (!isPut) records.dropName(name);
      await handle.release();
    }
    return isPut;
  }

  async drop(key: string, { withParent }: { readonly withParent: boolean }): Promise<void> {
    const { records } = this.#services;
    const names = withParent ? records.names().filter((name) => name.startsWith(keyWithParent(key))) : [key];
    for (const name of names) this.#drop(name);
  }

  #drop(name: string): void {
    for (const record of this.#locks.drop(name)) {
      if (record.handles === 0) this.#services.lifecycle.retire(record.id);
    }
  }
}

const unfinished = 'unfinished ';

function isWithParent(name: string): boolean {
  return / on [^" ]*$/.test(name);
}

/** The names of a key's directories with a parent begin with this; the id of the parent follows. */
function keyWithParent(key: string): string {
  return `${key} on `;
}
