import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe } from 'node:test';
import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { silentProgress } from '../../base/progress.ts';
import { ThreadPool } from '../../base/threads/thread-pool.ts';
import { writeBlob } from '../../content/content.ts';
import { mountPointsBelow } from '../../linux/mount-table.ts';
import { openNativeSnapshotter } from '../../snapshot/native-snapshotter.ts';
import { openOverlaySnapshotter } from '../../snapshot/overlay-snapshotter.ts';
import type { NamedImage, PruneOptions, UsageRecord } from '../disk-usage.ts';
import type { BlobOptions } from '../layer-export.ts';
import type { BlobProvider } from '../layer-import.ts';
import type { ImmutableRef, LayerBlob, RefId } from '../ref.ts';
import { openRefStoreRig, type RefStoreRig } from '../ref-store-rig.ts';

/** Runs the tests over each snapshotter (both by default). Each test finds the store empty. */
export function describeOnSnapshotters(
  name: string,
  tests: (store: RestartableStore) => void,
  snapshotters: readonly (typeof openOverlaySnapshotter)[] = [openOverlaySnapshotter, openNativeSnapshotter],
): void {
  for (const open of snapshotters) {
    describe(`${name} on ${open === openNativeSnapshotter ? 'plain copies' : 'overlayfs'}`, () => {
      const store = new RestartableStore(open);
      before(() => {
        store.pool = new ThreadPool({ size: 2 });
      });
      after(() => store.pool[Symbol.asyncDispose]());
      beforeEach(async () => {
        store.dir = mkdtempSync(path.join(tmpdir(), 'kiln-refs-'));
        store.images = [];
        await store.start();
      });
      afterEach(async () => {
        await store.stop();
        assert.deepEqual(mountPointsBelow(store.dir), []);
        rmSync(store.dir, { recursive: true, force: true });
      });
      tests(store);
    });
  }
}

/** A ref store that can be stopped and started again, and what tests do with it. */
export class RestartableStore {
  dir = '';
  pool!: ThreadPool;
  images: readonly NamedImage[] = [];
  /** From the next start on. */
  mountsLayers = false;
  readonly removed: RefId[] = [];
  readonly #openSnapshotter: typeof openOverlaySnapshotter;
  #resources = new AsyncDisposableStack();
  #rig!: RefStoreRig;

  constructor(openSnapshotter: typeof openOverlaySnapshotter) {
    this.#openSnapshotter = openSnapshotter;
  }

  get refStore() {
    return this.#rig.refStore;
  }

  get layerImport() {
    return this.#rig.layerImport;
  }

  get layerExport() {
    return this.#rig.layerExport;
  }

  get cacheDirectories() {
    return this.#rig.cacheDirectories;
  }

  get diskUsage() {
    return this.#rig.diskUsage;
  }

  get database() {
    return this.#rig.database;
  }

  get snapshotter() {
    return this.#rig.snapshotter;
  }

  get content() {
    return this.#rig.content;
  }

  async start(): Promise<void> {
    this.#resources = new AsyncDisposableStack();
    this.#rig = await openRefStoreRig(this.dir, this.#resources, {
      openSnapshotter: this.#openSnapshotter,
      pool: this.pool,
      patience: 50,
      mountsLayers: this.mountsLayers,
      onRemoved: (id) => this.removed.push(id),
      images: {
        list: async () => this.images,
        delete: async (name) => {
          this.images = this.images.filter((image) => image.name !== name);
        },
        holds: (digest) => this.images.some(({ blobs }) => blobs.includes(digest)),
      },
    });
  }

  async stop(): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Commits a tree with these files. */
  async make(
    files: Readonly<Record<string, string>>,
    parent?: ImmutableRef,
    description = 'made',
  ): Promise<ImmutableRef> {
    const mutable = await this.refStore.createMutable(parent, { description });
    await using view = await mutable.mount();
    writeFiles(view.path, files);
    return await mutable.commit();
  }

  /** Freezes a tree with these files. */
  async freeze(files: Readonly<Record<string, string>>): Promise<ImmutableRef> {
    const mutable = await this.refStore.createMutable(undefined, {
      description: 'context',
      type: 'source.local',
    });
    writeFiles((await mutable.plainDir())!, files);
    return await mutable.freeze();
  }

  /** Returns the files of a tree, by path. */
  async contents(ref: ImmutableRef): Promise<Record<string, string>> {
    await using view = await ref.mount();
    return Object.fromEntries(
      readdirSync(view.path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.relative(view.path, path.join(entry.parentPath, entry.name)))
        .sort()
        .map((name) => [name, readFileSync(path.join(view.path, name), 'utf8')]),
    );
  }

  /** The ids of all records. */
  async ids(): Promise<readonly RefId[]> {
    return (await this.diskUsage.list()).map(({ id }) => id);
  }

  prune(options: PruneOptions = { all: true }): Promise<UsageRecord[]> {
    return Array.fromAsync(this.diskUsage.prune(options));
  }

  /** Layers as a registry would have them: blobs that are kept aside, with a provider that counts. */
  async remoteLayers(
    trees: readonly Readonly<Record<string, string>>[],
    { compression = 'gzip' }: Pick<Partial<BlobOptions>, 'compression'> = {},
  ) {
    let ref: ImmutableRef | undefined;
    for (const files of trees) {
      const next = await this.make(files, ref);
      await ref?.release();
      ref = next;
    }
    const blobs: readonly LayerBlob[] = await this.layerExport.blobs(ref!, blobOptions({ compression }));
    const data = new Map<Digest, Uint8Array>();
    for (const { descriptor } of blobs)
      data.set(descriptor.digest, await this.content.readAll(descriptor.digest));
    await ref!.release();
    await this.prune();
    const fetched: Digest[] = [];
    const provider: BlobProvider = {
      fetch: async ({ digest }) => {
        fetched.push(digest);
        await writeBlob(this.content, data.get(digest)!, { digest });
      },
    };
    const parts = { bytes: 0 };
    const reading: BlobProvider = {
      ...provider,
      read: async ({ digest }, { offset, length }) => {
        parts.bytes += length;
        return data.get(digest)!.subarray(offset, offset + length);
      },
    };
    return { blobs, provider, fetched, reading, parts };
  }
}

export function writeFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [name, data] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), data);
  }
}

export function blobOptions(options: Partial<BlobOptions> = {}): BlobOptions {
  return {
    compression: 'gzip',
    mediaTypes: 'oci',
    signal: new AbortController().signal,
    progress: silentProgress,
    ...options,
  };
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof KilnError && error.code === code;
}
