import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { FlightContext } from '../../base/async/single-flight.ts';
import { type Digest, isDigest } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ContentStore } from '../../content/content.ts';
import type { LayerBytes, LazyLayer } from '../../lazy-layer/layer-chunks.ts';
import { type LazyMount, type LazyMounts, obstacleToMounting } from '../../lazy-layer/lazy-mounts.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { layerFormat, tocDigestAnnotation } from '../../oci/estargz.ts';
import { layerForm } from '../../oci/layer-identity.ts';
import { withAllAbove } from '../../snapshot/durable-snapshotter.ts';
import type { SnapshotId, Snapshotter } from '../../snapshot/snapshot.ts';
import type { TreeReader } from '../ref.ts';
import type { BlobProviders } from './blob-providers.ts';
import { PartlyHere } from './partly-here.ts';
import { TreeReaders } from './tree-readers.ts';

/** Layers that are mounted instead of unpacked, as long as their snapshots live. */
export interface MountedLayersOptions {
  readonly mounts: LazyMounts;
  /** Whether layers that are not here yet are mounted. Those that are mounted already stay so. */
  readonly isWanted: boolean;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly providers: BlobProviders;
  /** A file that is there once a layer was mounted: without it nothing has to be recovered. */
  readonly marker: string;
}

/** In the directory of a snapshot, beside the directory of its files. */
const directoryName = 'lazy';
const descriptorName = 'layer.json';

interface Mounted {
  readonly descriptor: Descriptor;
  readonly mount: LazyMount;
}

export class MountedLayers implements AsyncDisposable {
  readonly #options: MountedLayersOptions;
  readonly #mounted = new Map<SnapshotId, Mounted>();
  readonly #readers = new TreeReaders((id) => this.#mounted.get(id)?.mount);
  #canMount: boolean | undefined;

  constructor(options: MountedLayersOptions) {
    this.#options = options;
  }

  get ids(): ReadonlySet<SnapshotId> {
    return new Set(this.#mounted.keys());
  }

  get isEmpty(): boolean {
    return this.#mounted.size === 0;
  }

  /** Whether a layer with this blob is mounted. */
  has(digest: Digest): boolean {
    return this.#mounted.values().some(({ descriptor }) => descriptor.digest === digest);
  }

  /** Whether all of the snapshot has come, or somebody can be asked for the rest. */
  async isReadable(id: SnapshotId): Promise<boolean> {
    const mounted = this.#mounted.get(id);
    if (!mounted || mounted.mount.isComplete) return true;
    const { content, providers } = this.#options;
    const { digest } = mounted.descriptor;
    return providers.canRead(digest) || (await content.stat(digest)) !== undefined;
  }

  /** What has to be known of those of the snapshots that have not come as a whole; undefined when all have. */
  partlyHere(ids: readonly SnapshotId[]): PartlyHere | undefined {
    const layers = ids
      .flatMap((id) => this.#mounted.get(id)?.mount ?? [])
      .filter((mount) => !mount.isComplete);
    if (layers.length === 0) return undefined;
    return new PartlyHere(layers, this.#options.mounts, (signal) => this.#readers.add(ids, signal));
  }

  /** Whether trees may have layers that are mounted, or will be. */
  get isUsed(): boolean {
    return this.#options.isWanted || this.#mounted.size > 0;
  }

  /** Registers work that reads the snapshots. */
  reader(ids: readonly SnapshotId[], signal: AbortSignal): TreeReader {
    return this.#readers.add(ids, signal);
  }

  /** Whether the layer can be mounted, as far as its description and its providers tell. */
  isEligible(descriptor: Descriptor, { progress }: Pick<FlightContext, 'progress'>): boolean {
    const { isWanted, snapshotter, providers } = this.#options;
    return (
      isWanted &&
      snapshotter.name === 'overlay' &&
      layerFormat(descriptor) === 'estargz' &&
      layerForm(descriptor) === 'unix' &&
      lazyLayerOf(descriptor) !== undefined &&
      providers.canRead(descriptor.digest) &&
      this.#isPossible(progress)
    );
  }

  /** Whether the machine can mount layers. The first build that would have some mounted is told when it cannot. */
  #isPossible(progress: FlightContext['progress']): boolean {
    if (this.#canMount === undefined) {
      const obstacle = obstacleToMounting();
      this.#canMount = obstacle === undefined;
      if (obstacle) {
        progress.warn({
          level: 1,
          short: `eStargz layers are fetched whole, since they cannot be mounted here: ${obstacle.message}`,
        });
      }
    }
    return this.#canMount;
  }

  /**
   * Mounts a layer as the files of an active snapshot. Returns false, and warns, when that is not possible: the layer then has to be
   * unpacked. Throws `canceled`.
   */
  async make(
    id: SnapshotId,
    descriptor: Descriptor,
    below: readonly string[],
    { signal, progress }: FlightContext,
  ): Promise<boolean> {
    const { mounts, snapshotter, providers, marker } = this.#options;
    const layer = lazyLayerOf(descriptor)!;
    const { dir: target, form } = await snapshotter.writableLayerDir(id);
    const directory = path.join(path.dirname(target), directoryName);
    const read: LayerBytes['read'] = (range, each) => providers.read(descriptor, range, each);
    try {
      await mounts.prepare(layer, { read }, { directory, form, below }, signal);
      writeFileSync(path.join(directory, descriptorName), JSON.stringify(descriptor));
      writeFileSync(marker, '');
      await this.#mount(id, descriptor, { directory, target });
      return true;
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      if (signal.aborted) throw error;
      const why = asKilnError(error).message;
      progress.warn({ level: 1, short: `layer ${descriptor.digest} is fetched whole: ${why}` });
      return false;
    }
  }

  /** Mounts what earlier processes had mounted. Removes the snapshots for which that is not possible, with all that was built on them. */
  async recover(): Promise<void> {
    if (!existsSync(this.#options.marker)) return;
    const lost: SnapshotId[] = [];
    for await (const { id } of this.#options.snapshotter.list()) {
      const target = (await this.#options.snapshotter.layerDirs(id)).at(-1);
      // A merge has the layers of others.
      if (target === undefined || path.basename(path.dirname(target)) !== id) continue;
      const directory = path.join(path.dirname(target), directoryName);
      if (!existsSync(directory)) continue;
      try {
        const text = readFileSync(path.join(directory, descriptorName), 'utf8');
        await this.#mount(id, JSON.parse(text) as Descriptor, { directory, target });
      } catch {
        lost.push(id);
      }
    }
    const removed = await withAllAbove(lost, this.#options.snapshotter);
    await this.unmount(removed);
    for (const id of removed) await this.#options.snapshotter.remove(id);
  }

  async #mount(
    id: SnapshotId,
    descriptor: Descriptor,
    at: { directory: string; target: string },
  ): Promise<void> {
    const layer = lazyLayerOf(descriptor);
    if (!layer) throw new KilnError('data_loss', `${descriptor.digest} was no eStargz`);
    const mount = await this.#options.mounts.mount(layer, this.#bytesOf(descriptor), at);
    this.#mounted.set(id, { descriptor, mount });
  }

  #bytesOf(descriptor: Descriptor): LayerBytes {
    const { content, providers } = this.#options;
    const { digest } = descriptor;
    const here = async () => ((await content.stat(digest)) ? content.localPath(digest) : undefined);
    const whole = async (signal: AbortSignal) => {
      if (!(await here())) await providers.fetch(descriptor, { signal });
      const file = content.localPath(digest);
      if (file !== undefined) return file;
      throw new KilnError('internal', `blob ${digest} is no file`);
    };
    return {
      whole,
      read: async (range, signal) => {
        const file = await here();
        if (file !== undefined) return await readRange(file, range);
        return await providers.read(descriptor, range, signal);
      },
    };
  }

  /** To be called before a snapshot is removed. */
  async unmount(ids: readonly SnapshotId[]): Promise<void> {
    for (const id of ids) {
      const mounted = this.#mounted.get(id);
      if (!mounted) continue;
      this.#mounted.delete(id);
      await mounted.mount[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount([...this.#mounted.keys()]);
  }
}

async function readRange(
  file: string,
  { offset, length }: { readonly offset: number; readonly length: number },
): Promise<Uint8Array> {
  await using handle = await open(file);
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

function lazyLayerOf({ digest, size, annotations }: Descriptor): LazyLayer | undefined {
  const tocDigest = annotations?.[tocDigestAnnotation];
  return tocDigest !== undefined && isDigest(tocDigest) ? { digest, size, tocDigest } : undefined;
}
