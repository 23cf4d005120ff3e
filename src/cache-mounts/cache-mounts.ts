import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { mapLimit } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import type { Attributes } from '../base/text/attributes.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ContentStore } from '../content/content.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { CacheDirectories } from '../ref/cache-directories.ts';
import type {
  CacheAccess,
  CacheBackend,
  CacheBackendType,
  CachePurpose,
} from '../remote-cache/cache-backend.ts';
import { isSelected, type MountSelection, mountAttributes, namesMount } from './mount-place.ts';
import type { MountToPack, PackedMounts, PackMountsInput } from './pack-mounts.task.ts';
import type { ListedMount } from './read-index.task.ts';
import { indexType, packType, readStoredMounts, writeStoredMounts } from './stored-mounts.ts';
import { openTemporaryStore } from './temporary-store.ts';
import type { UnpackMountInput } from './unpack-mount.task.ts';

export interface CacheMountsServices {
  readonly types: ReadonlyMap<string, CacheBackendType>;
  readonly cacheDirectories: CacheDirectories;
  readonly content: ContentStore;
  readonly threads: ThreadPool;
}

/** A cache mount of this machine. */
export interface CacheMount {
  readonly id: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
  /** Bytes; undefined before it is measured. */
  readonly size: number | undefined;
  readonly inUse: boolean;
}

export interface MountExport {
  /** What names the mounts in the place; undefined when there was nothing to export. */
  readonly manifest: Descriptor | undefined;
  /** Bytes that were sent: of packs and of the index. */
  readonly sent: number;
  readonly exported: readonly string[];
  /** Of those that were asked for: a step has them alone, or this machine does not have them. */
  readonly skipped: readonly string[];
}

/** What became of a mount that a place has. `newer`: what is here is in use, or was used after the place got what it has. */
export type MountImport = 'imported' | 'newer';

const tasks = {
  pack: new URL('pack-mounts.task.ts', import.meta.url),
  unpack: new URL('unpack-mount.task.ts', import.meta.url),
  read: new URL('read-index.task.ts', import.meta.url),
};
const keyPrefix = 'cache:';
const fetchesAtOnce = 4;

/** The cache mounts of this machine, and their way to other machines by the places where remote caches are. Those with a base (`from=`) do not travel. */
export class CacheMounts {
  readonly #services: CacheMountsServices;

  constructor(services: CacheMountsServices) {
    this.#services = services;
  }

  /** A mount with `sharing=private` may be there several times. */
  list(): readonly CacheMount[] {
    return this.#services.cacheDirectories.list(keyPrefix).map(({ key, ...directory }) => ({
      id: JSON.parse(key.slice(keyPrefix.length)) as string,
      ...directory,
    }));
  }

  /** Whether this machine has the mount, in use or not. */
  has(id: string): boolean {
    return this.#services.cacheDirectories.list(keyOf(id)).some(({ key }) => key === keyOf(id));
  }

  /** The next step that mounts it begins with an empty one. Throws `not_found`. */
  async remove(name: string): Promise<void> {
    const { cacheDirectories } = this.#services;
    const id = this.list().find((mount) => namesMount(name, mount.id))?.id;
    if (id === undefined) {
      throw new KilnError('not_found', `there is no cache mount ${JSON.stringify(name)}`, {
        hint: 'see `kiln cache-mount ls`',
      });
    }
    await cacheDirectories.drop(keyOf(id), { withParent: false });
    await cacheDirectories.drop(keyOf(id), { withParent: true });
  }

  /** Opens the place of the mounts beside a cache. Throws `invalid_argument`. */
  openPlace(type: string, attributes: Attributes, purpose: CachePurpose): MountPlace {
    const own = mountAttributes(type, attributes);
    const known = this.#services.types.get(type);
    if (!known) throw new KilnError('invalid_argument', `unknown type of cache: ${JSON.stringify(type)}`);
    // A directory of the client is read by a digest, and has none at first.
    const isEmpty = type === 'local' && own.digest === undefined;
    return {
      writer: purpose === 'export' ? known.open(own, 'export') : undefined,
      reader: isEmpty ? undefined : known.open(own, 'import'),
    };
  }

  /**
   * Brings to the place what it lacks of these mounts. It keeps those that are not here, and those that it has in a later state.
   */
  async export(opened: MountPlace, selection: MountSelection, access: CacheAccess): Promise<MountExport> {
    const { content, threads } = this.#services;
    const place = opened.writer!;
    await using held = new AsyncDisposableStack();
    const mounts = await this.#hold(selection, held);
    const exported = mounts.map(({ id }) => id);
    const skipped =
      selection === 'all'
        ? []
        : [...selection].filter((name) => !exported.some((id) => namesMount(name, id)));
    if (mounts.length === 0) return { manifest: undefined, sent: 0, exported, skipped };
    const directory = await mkdtemp(path.join(content.temporaryDirectory, 'cache-mounts-'));
    held.defer(() => rm(directory, { recursive: true, force: true }));

    const { reader } = opened;
    // A backend may say to exports that it has nothing, since its `writeBlob` asks.
    const asked = reader ?? place;
    const before =
      reader && (await readStoredMounts(reader, content.temporaryDirectory, access).catch(ifDamaged));
    const pack = (bytes: Uint8Array | undefined) => {
      const input: PackMountsInput = { mounts, before: bytes, directory };
      return threads.run<PackMountsInput, PackedMounts>(tasks.pack, input, { signal: access.signal });
    };
    let packed = await pack(before?.bytes).catch((error: unknown) => pack(ifDamaged(error)));
    if (before && packed.index.digest === before.index.digest) {
      return { manifest: before.manifest, sent: 0, exported, skipped };
    }
    let kept = packed.kept.map(packDescriptor);
    const there = await mapLimit(kept, place.uploads, (each) => asked.hasBlob(each, access), access.signal);
    if (there.includes(false)) {
      // Somebody removed blobs of the place.
      packed = await pack(undefined);
      kept = [];
    }
    const index: Descriptor = { ...packDescriptor(packed.index), mediaType: indexType };
    const sent = await mapLimit(
      [...packed.written, packed.index],
      place.uploads,
      async (file, _index, signal) => {
        const blob = packDescriptor(file);
        if (await asked.hasBlob(blob, { ...access, signal })) return 0;
        await place.writeBlob(blob, { open: async () => createReadStream(file.file) }, { ...access, signal });
        return file.size;
      },
      access.signal,
    );
    const manifest = await writeStoredMounts(
      place,
      index,
      [...kept, ...packed.written.map(packDescriptor)],
      access,
    );
    return { manifest, sent: sent.reduce((sum, size) => sum + size, 0), exported, skipped };
  }

  /** The mounts that a place has, and how to bring them here; undefined when it has none. Throws `data_loss`, `not_found` and `failed_precondition`. */
  async read({ reader: place }: MountPlace, access: CacheAccess): Promise<PlacedMounts | undefined> {
    const { content, threads } = this.#services;
    const stored = place && (await readStoredMounts(place, content.temporaryDirectory, access));
    if (!stored) return undefined;
    const mounts = await threads.run<Uint8Array, readonly ListedMount[]>(tasks.read, stored.bytes, {
      signal: access.signal,
    });
    return { place, index: stored.bytes, mounts };
  }

  /**
   * Makes a mount of this machine what the place has. What counts is the time at which a step last had it: what was used here after that of the place, or is
   * in use, stays as it is.
   */
  async import(
    { place, index }: PlacedMounts,
    mount: ListedMount,
    access: CacheAccess,
  ): Promise<MountImport> {
    const { cacheDirectories, content, threads } = this.#services;
    const { signal } = access;
    const { id, takenAt } = mount;
    const fill = async (target: string) => {
      await using packs = await openTemporaryStore(content.temporaryDirectory);
      const files = await mapLimit(
        mount.packs.map(packDescriptor),
        fetchesAtOnce,
        async (pack, _index, each) => {
          await place.fetchBlob(pack, packs.content, { ...access, signal: each });
          return [pack.digest, packs.content.localPath(pack.digest)!] as const;
        },
        signal,
      );
      const scratch = path.join(packs.directory, 'scratch');
      const input: UnpackMountInput = { index, id, packs: new Map(files), directory: target, scratch };
      await threads.run<UnpackMountInput, void>(tasks.unpack, input, { signal });
    };
    const isMade = await cacheDirectories.put(
      keyOf(id),
      new Date(takenAt),
      {
        type: 'exec.cachemount',
        description: `cached mount with id ${JSON.stringify(id)} from ${place.place}`,
        signal,
      },
      fill,
    );
    return isMade ? 'imported' : 'newer';
  }

  /** Holds mounts so that they can be read. Steps may go on using them. */
  async #hold(selection: MountSelection, held: AsyncDisposableStack): Promise<readonly MountToPack[]> {
    const { cacheDirectories } = this.#services;
    const mounts: MountToPack[] = [];
    for (const id of new Set(this.list().map((mount) => mount.id))) {
      if (!isSelected(selection, id)) continue;
      const { lastUsedAt, ...directory } = this.list().find((mount) => mount.id === id)!;
      const cache = cacheDirectories.share(keyOf(id));
      if (!cache) continue;
      held.defer(() => cache.release());
      const view = held.use(await cache.mount());
      await view.partlyHere?.complete();
      mounts.push({ id, takenAt: (lastUsedAt ?? directory.createdAt).getTime(), path: view.path });
    }
    return mounts;
  }
}

/** A place for mounts. `writer`: of one that is opened for an export; `reader`: unless it is known to have nothing. */
export interface MountPlace {
  readonly writer: CacheBackend | undefined;
  readonly reader: CacheBackend | undefined;
}

/** What a place has. */
export interface PlacedMounts {
  readonly place: CacheBackend;
  /** As it is stored. */
  readonly index: Uint8Array;
  readonly mounts: readonly ListedMount[];
}

/** What is damaged or has lost parts is replaced as a whole. */
function ifDamaged(error: unknown): undefined {
  if (error instanceof KilnError && /^(data_loss|not_found)$/.test(error.code)) return undefined;
  throw error;
}

function keyOf(id: string): string {
  return `${keyPrefix}${JSON.stringify(id)}`;
}

function packDescriptor({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Descriptor {
  return { mediaType: packType, digest, size };
}
