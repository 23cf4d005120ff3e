import { type Digest, parseDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { withStatus } from '../../base/progress.ts';
import { reportTransfer } from '../../base/report-transfer.ts';
import type { ContentStore } from '../../content/content.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { BlobProvider, LayerImport } from '../../ref/layer-import.ts';
import type { ImmutableRef, LayerBlob, RecordType } from '../../ref/ref.ts';
import type { SourceContext, SourceInstance, SourceKey } from '../source.ts';
import type { ImageOrigin } from './image-origin.ts';
import { imageKey, type LoadedImage, manifestCacheDigest } from './load-image.ts';

export interface ImageInstanceOptions {
  readonly name: string;
  readonly platform: Platform;
  readonly recordType: RecordType;
  /** How many layers to use, from the bottom; undefined for all. */
  readonly layerLimit?: number;
  /** What the name has to resolve to. */
  readonly checksum?: Digest;
  /** Finds the image, and where it was found. */
  readonly load: (
    context: SourceContext,
  ) => Promise<{ readonly image: LoadedImage; readonly origin: ImageOrigin }>;
  readonly content: ContentStore;
  readonly layerImport: LayerImport;
}

/** An image as a source: its key is its stack of layers; the layers themselves stay where they are until somebody reads them. */
export class ImageInstance implements SourceInstance {
  readonly #options: ImageInstanceOptions;
  #loaded: { readonly layers: readonly LayerBlob[]; readonly origin: ImageOrigin } | undefined;

  constructor(options: ImageInstanceOptions) {
    this.#options = options;
  }

  async key(context: SourceContext): Promise<SourceKey> {
    const { name, checksum, load, platform, layerLimit } = this.#options;
    const { image, origin } = await withStatus(context.progress, `resolve ${name}`, () => load(context));
    if (checksum !== undefined && checksum !== image.root.digest) {
      throw new KilnError(
        'failed_precondition',
        `image digest ${image.root.digest} for ${name} does not match expected checksum ${checksum}`,
      );
    }
    const layers = this.#limited(image.layers);
    this.#loaded = { layers, origin };
    this.#options.layerImport.offer(layers, layerProvider(origin, this.#options.content, context));
    return {
      digest: imageKey(layers),
      alternatives: [manifestCacheDigest(image, platform, layerLimit)],
      pin: image.root.digest,
    };
  }

  #limited(layers: readonly LayerBlob[]): readonly LayerBlob[] {
    const { layerLimit, name } = this.#options;
    if (layerLimit === undefined) return layers;
    if (layerLimit > layers.length) {
      throw new KilnError(
        'invalid_argument',
        `layer limit ${layerLimit} is greater than the number of layers of ${name}, ${layers.length}`,
      );
    }
    return layers.slice(0, layerLimit);
  }

  async snapshot(context: SourceContext): Promise<ImmutableRef> {
    if (!this.#loaded) throw new KilnError('internal', `${this.#options.name}: snapshot before key`);
    const { layers, origin } = this.#loaded;
    const { layerImport, content, name, recordType } = this.#options;
    return layerImport.fromBlobs(layers, layerProvider(origin, content, context), {
      description: `pulled from ${name}`,
      type: recordType,
    });
  }
}

function layerProvider(origin: ImageOrigin, content: ContentStore, context: SourceContext): BlobProvider {
  return {
    origin: origin.name,
    async fetch(descriptor, { signal, progress }) {
      if (await content.stat(descriptor.digest)) return;
      const { digest, size } = descriptor;
      const report = reportTransfer({ id: digest, name: 'downloading', total: size, current: 0 }, progress);
      await origin.layer(descriptor, content, {
        signal,
        progress,
        sessions: context.sessions(),
        onProgress: report.reach,
      });
      report.reach(size);
      report.complete();
    },
    ...(origin.layerPart && {
      read: (descriptor: Descriptor, range: { offset: number; length: number }, signal: AbortSignal) =>
        origin.layerPart!(descriptor, range, { signal, sessions: context.sessions() }),
    }),
    isGone: () => origin.isGone?.(context.sessions()) ?? false,
    isIdle: () => context.sessions().length === 0,
  };
}

const recordTypes: readonly RecordType[] = ['regular', 'internal', 'frontend'];

/** Throws `invalid_argument`. */
export function parseRecordType(text: string | undefined): RecordType {
  if (text === undefined || text === '') return 'regular';
  const type = recordTypes.find((known) => known === text);
  if (!type) throw new KilnError('invalid_argument', `invalid record type ${JSON.stringify(text)}`);
  return type;
}

/** Throws `invalid_argument`. */
export function parseLayerLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw new KilnError(
      'invalid_argument',
      `invalid layer limit ${JSON.stringify(text)}: want a number from 1`,
    );
  }
  return Number(text);
}

/** Throws `invalid_argument`. */
export function parseChecksum(text: string | undefined): Digest | undefined {
  return text === undefined || text === '' ? undefined : parseDigest(text);
}
