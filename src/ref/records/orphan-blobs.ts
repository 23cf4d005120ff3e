import { type Digest, digestHex, digestOf } from '../../base/digest.ts';
import type { ContentStore } from '../../content/content.ts';
import type { ImageIndex, NamedImage, UsageRecord } from '../disk-usage.ts';
import type { RefId } from '../ref.ts';
import type { RefRecords } from './ref-records.ts';

export interface OrphanBlobsOptions {
  readonly records: RefRecords;
  readonly content: ContentStore;
  readonly images: ImageIndex;
  /** Returns whether nothing is being built that may be about to use a blob. */
  readonly isIdle: () => boolean;
}

/** Something other than a record that holds blobs. */
export interface BlobHolder {
  readonly usage: UsageRecord;
  /** Returns whether it is gone. */
  remove(): Promise<boolean>;
}

/** Blobs in the content store that belong to no record: those of images kept by name, and documents left from pulls and exports. */
export class OrphanBlobs {
  readonly #options: OrphanBlobsOptions;
  readonly #released = new Set<Digest>();

  constructor(options: OrphanBlobsOptions) {
    this.#options = options;
  }

  /** Returns what holds orphans. `sizes` has all blobs of the content store. A blob of several images counts for the first. */
  async list(sizes: ReadonlyMap<Digest, number>): Promise<BlobHolder[]> {
    const { records, images } = this.#options;
    const unowned = new Map([...sizes].filter(([digest]) => !records.ownsBlob(digest)));
    const take = (digests: Iterable<Digest>): number => {
      let size = 0;
      for (const digest of digests) {
        size += unowned.get(digest) ?? 0;
        unowned.delete(digest);
      }
      return size;
    };
    const holders = (await images.list()).map((image) => this.#ofImage(image, take(image.blobs)));
    const documents = [...unowned.keys()];
    if (documents.length > 0) holders.push(this.#ofDocuments(documents, take(documents)));
    return holders;
  }

  /** Deletes all blobs that neither a record nor an image has. */
  async sweep(): Promise<void> {
    for await (const { digest } of this.#options.content.list()) await this.delete([digest]);
  }

  /** Deletes those of the blobs that neither a record nor an image has. Returns their bytes. */
  async delete(digests: readonly Digest[]): Promise<number> {
    const { records, content, images } = this.#options;
    let bytes = 0;
    for (const digest of digests) {
      if (records.ownsBlob(digest) || images.holds(digest)) continue;
      bytes += (await content.stat(digest))?.size ?? 0;
      await content.delete(digest);
    }
    return bytes;
  }

  /** The same, as soon as nothing is being built. Returns the bytes of those that are deleted at once. */
  async release(digests: readonly Digest[]): Promise<number> {
    for (const digest of digests) this.#released.add(digest);
    return await this.settle();
  }

  /** Deletes what was released while something was being built, if nothing is by now. */
  async settle(): Promise<number> {
    if (!this.#options.isIdle()) return 0;
    const digests = [...this.#released];
    this.#released.clear();
    return await this.delete(digests);
  }

  #ofImage({ name, createdAt, blobs, isElsewhere }: NamedImage, size: number): BlobHolder {
    return {
      usage: {
        id: digestHex(digestOf(`image ${name}`)).slice(0, 25) as RefId,
        type: 'regular',
        mutable: false,
        inUse: !isElsewhere,
        size,
        parents: [],
        createdAt,
        lastUsedAt: createdAt,
        usageCount: 1,
        description: `image ${name}`,
        shared: false,
      },
      remove: async () => {
        await this.#options.images.delete(name);
        await this.delete(blobs);
        return true;
      },
    };
  }

  #ofDocuments(digests: readonly Digest[], size: number): BlobHolder {
    const isIdle = this.#options.isIdle();
    return {
      usage: {
        id: 'documents' as RefId,
        type: 'internal',
        mutable: false,
        inUse: !isIdle,
        size,
        parents: [],
        createdAt: new Date(0),
        usageCount: 0,
        description: 'manifests and configs of pulled and exported images',
        shared: false,
      },
      remove: async () => {
        if (!this.#options.isIdle()) return false;
        await this.delete(digests);
        return true;
      },
    };
  }
}
