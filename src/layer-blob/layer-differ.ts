import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ContentStore } from '../content/content.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type LayerFormat, tocDigestAnnotation, uncompressedSizeAnnotation } from '../oci/estargz.ts';
import { layerForm } from '../oci/layer-identity.ts';
import { layerMediaType } from '../oci/media-type.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import type { WrittenBlob } from './blob-sink.ts';
import { blockFormat } from './compression/block-codec.ts';
import { BlockRing, type SharedBlockRing } from './compression/block-ring.ts';
import type { ConvertLayerInput } from './convert-layer.task.ts';
import type { Differ, DiffOptions, DiffResult, LayerTarget } from './differ.ts';
import type { BlobFormat } from './open-blob-writer.ts';
import type { ExtractedLayer, ExtractLayerInput } from './unpack/extract-layer.task.ts';
import type { SettleLayerInput } from './unpack/settle-layer.task.ts';
import type { WriteLayerInput } from './write-layer.task.ts';

const tasks = {
  write: new URL('./write-layer.task.ts', import.meta.url),
  convert: new URL('./convert-layer.task.ts', import.meta.url),
  extract: new URL('./unpack/extract-layer.task.ts', import.meta.url),
  settle: new URL('./unpack/settle-layer.task.ts', import.meta.url),
  compress: new URL('./compression/compress-blocks.task.ts', import.meta.url),
};

export interface LayerDifferOptions {
  readonly pool: ThreadPool;
  /** The threads that unpack layers, for which steps wait; by default those of `pool`. */
  readonly unpacking?: ThreadPool;
}

/** A differ whose loops run in threads. The content store must keep its blobs in local files. */
export function createLayerDiffer({ pool, unpacking = pool }: LayerDifferOptions): Differ {
  return new LayerDiffer(pool, unpacking);
}

class LayerDiffer implements Differ {
  readonly #pool: ThreadPool;
  readonly #unpacking: ThreadPool;

  constructor(pool: ThreadPool, unpacking: ThreadPool) {
    this.#pool = pool;
    this.#unpacking = unpacking;
  }

  get layersAtOnce(): number {
    return this.#unpacking.size;
  }

  diff(changes: SnapshotChanges, store: ContentStore, options: DiffOptions): Promise<DiffResult> {
    return this.#writeBlob<WriteLayerInput>(
      tasks.write,
      { changes, form: options.form ?? 'unix' },
      store,
      options,
    );
  }

  async convert(blob: Descriptor, store: ContentStore, options: DiffOptions): Promise<DiffResult> {
    const source = blobPath(store, blob.digest);
    return await this.#writeBlob<ConvertLayerInput>(tasks.convert, { source }, store, options);
  }

  async apply(
    blob: Descriptor,
    store: ContentStore,
    { dir, form, below }: LayerTarget,
    signal?: AbortSignal,
  ): Promise<{ readonly diffId: Digest; readonly size: number }> {
    const unsettled = join(store.temporaryDirectory, `unsettled-${randomUUID()}`);
    const input = { source: blobPath(store, blob.digest), layout: layerForm(blob), dir, form, unsettled };
    try {
      const { settled, ...extracted } = await this.#unpacking.run<ExtractLayerInput, ExtractedLayer>(
        tasks.extract,
        input,
        { signal },
      );
      if (!settled) {
        const layer = { dir, unsettled, below: (await below?.()) ?? [] };
        await this.#unpacking.run<SettleLayerInput, void>(tasks.settle, layer, { signal });
      }
      return extracted;
    } finally {
      await rm(unsettled, { force: true });
    }
  }

  /** Runs a task that writes a blob to a temporary file, with as many helpers as it asks for, and takes the file over. */
  async #writeBlob<Input extends BlobTaskInput>(
    task: URL,
    input: Omit<Input, keyof BlobTaskInput>,
    store: ContentStore,
    options: DiffOptions,
  ): Promise<DiffResult> {
    const { compression, level, epoch, signal } = options;
    const format = formatOf(compression, level);
    const path = join(store.temporaryDirectory, `layer-${randomUUID()}`);
    const done = new AbortController();
    try {
      const blob = await this.#pool.run<BlobTaskInput, WrittenBlob, SharedBlockRing>(
        task,
        { ...input, path, format, epoch, maxHelpers: this.#pool.size - 1 },
        { signal, onEvent: (ring) => this.#help(ring, done.signal) },
      );
      await store.adopt(path, { digest: blob.digest, size: blob.size });
      const { digest, size, diffId, estargz } = blob;
      const mediaType = layerMediaType(compression === 'estargz' ? 'gzip' : compression, options.mediaTypes);
      if (!estargz) return { descriptor: { mediaType, digest, size }, diffId };
      const annotations = {
        [tocDigestAnnotation]: estargz.tocDigest,
        [uncompressedSizeAnnotation]: String(blob.tarSize),
      };
      return { descriptor: { mediaType, digest, size, annotations }, diffId, tarDigest: estargz.tarDigest };
    } finally {
      done.abort();
      await rm(path, { force: true });
    }
  }

  /** A helper that ends early may have left a block undone, which its owner would wait for. */
  #help(ring: SharedBlockRing, signal: AbortSignal): void {
    this.#pool.run(tasks.compress, ring, { signal }).catch(() => {
      if (!signal.aborted) new BlockRing(ring).fail();
    });
  }
}

function formatOf(compression: LayerFormat, level: number | undefined): BlobFormat {
  switch (compression) {
    case 'uncompressed':
      return undefined;
    case 'estargz':
      return { compression, level: blockFormat('gzip', level).level };
    default:
      return blockFormat(compression, level);
  }
}

/** What every task that writes a blob is told. */
type BlobTaskInput = Pick<WriteLayerInput, 'path' | 'format' | 'epoch' | 'maxHelpers'>;

function blobPath(store: ContentStore, digest: Digest): string {
  const path = store.localPath(digest);
  if (path === undefined) {
    throw new KilnError('unimplemented', `blob ${digest} is in a store that has no local files to read from`);
  }
  return path;
}
