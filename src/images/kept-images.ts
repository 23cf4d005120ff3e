import { KilnError } from '../base/errors.ts';
import { nearestName } from '../base/nearest/nearest-name.ts';
import type { ContentStore } from '../content/content.ts';
import type { ImageStore, KeptImage } from '../exporter/image/image-store.ts';
import { type ImageDocuments, readImageDocuments } from '../oci/image-documents.ts';
import {
  familiarReference,
  formatReference,
  type ImageReference,
  parseReference,
  repositoryName,
  withDefaultTag,
} from '../oci/reference.ts';
import type { DiskUsage } from '../ref/disk-usage.ts';

export interface KeptImagesOptions {
  readonly images: ImageStore;
  readonly content: ContentStore;
  readonly diskUsage: Pick<DiskUsage, 'release'>;
}

/** An image that cannot go while somebody works with it. */
export interface HeldImage extends AsyncDisposable {
  readonly image: KeptImage;
  readonly documents: ImageDocuments;
}

export interface RemovedImage {
  /** Canonical. */
  readonly name: string;
  /** What nothing else needed, in bytes. */
  readonly freed: number;
}

/**
 * The images that are kept by name, for those who work with them. They are found by the names that people write; by their
 * digest, with or without a repository; and by the digest of their config, which is what builds print as an image's id.
 */
export class KeptImages {
  readonly #images: ImageStore;
  readonly #content: ContentStore;
  readonly #diskUsage: KeptImagesOptions['diskUsage'];

  constructor({ images, content, diskUsage }: KeptImagesOptions) {
    this.#images = images;
    this.#content = content;
    this.#diskUsage = diskUsage;
  }

  list(): Promise<readonly KeptImage[]> {
    return this.#images.list();
  }

  /** Throws `not_found`, and `invalid_argument` for what is no name. */
  async find(text: string): Promise<KeptImage> {
    const found = /^sha256:/.test(text)
      ? await this.#byDigest(text)
      : await findKept(this.#images, named(text));
    if (found) return found;
    const names = (await this.#images.list()).map(({ name }) => familiarReference(parseReference(name)));
    const nearest = nearestName(text, [...names, ...names.map((name) => name.replace(/:latest$/, ''))]);
    throw new KilnError('not_found', `no image ${text} is kept here`, {
      hint: nearest ? `did you mean ${nearest}?` : 'kiln images lists those that are',
    });
  }

  /** Finds an image and reads its documents. It stays, even if its name is removed, until it is disposed of. */
  async open(text: string): Promise<HeldImage> {
    const image = await this.find(text);
    const held = this.#images.hold(image.blobs);
    const release = async () => {
      held[Symbol.dispose]();
      await this.#diskUsage.release(image.blobs);
    };
    try {
      const documents = await readImageDocuments(image.target, this.#content, image.name);
      return { image, documents, [Symbol.asyncDispose]: release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** Gives an image another name, whatever had that before. Returns the canonical name. */
  async tag(source: string, name: string): Promise<string> {
    const { target, blobs } = await this.find(source);
    const reference = named(name);
    if (reference.digest !== undefined) {
      throw new KilnError('invalid_argument', `${name} has a digest: an image gets a name and a tag`);
    }
    const canonical = formatReference(reference);
    const before = await this.#images.get(canonical);
    await this.#images.put({ name: canonical, target, blobs });
    if (before) await this.#diskUsage.release(before.blobs);
    return canonical;
  }

  /** Takes a name away, and what only that image needed. */
  async remove(text: string): Promise<RemovedImage> {
    const { name, blobs } = await this.find(text);
    await this.#images.delete(name);
    return { name, freed: await this.#diskUsage.release(blobs) };
  }

  async #byDigest(text: string): Promise<KeptImage | undefined> {
    const all = await this.#images.list();
    const exact = all.find(({ target }) => target.digest === text);
    if (exact) return exact;
    for (const image of all) {
      if (!image.blobs.some((blob) => blob === text)) continue;
      const { platforms } = await readImageDocuments(image.target, this.#content, image.name);
      if (platforms.some(({ config }) => config.descriptor.digest === text)) return image;
    }
    return undefined;
  }
}

/** An image by its reference: by its name, or any image of that repository that has the digest. */
export async function findKept(
  images: Pick<ImageStore, 'get' | 'list'>,
  reference: ImageReference,
): Promise<KeptImage | undefined> {
  const exact = await images.get(formatReference(reference));
  if (exact || reference.digest === undefined) return exact;
  const { digest } = reference;
  return (await images.list()).find(
    ({ name, target }) =>
      target.digest === digest && repositoryName(parseReference(name)) === repositoryName(reference),
  );
}

function named(text: string): ImageReference {
  return withDefaultTag(parseReference(text));
}
