import type { Digest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { formatPlatform, type Platform } from '../base/platform.ts';
import { platformScore } from '../base/platform-match.ts';
import type { Descriptor } from './descriptor.ts';
import { type ImageConfig, parseImageConfig } from './image-config.ts';
import type { ImageDocument } from './image-document.ts';
import { attestedDigest, type Manifest, parseManifest } from './manifest.ts';

/** The documents of an image, read and understood. */
export interface ImageDocuments {
  readonly root: Descriptor;
  /** Manifests and indexes, children before parents: the last one is the root. */
  readonly manifests: readonly ImageDocument[];
  readonly platforms: readonly PlatformImage[];
  readonly attestations: readonly AttestationManifest[];
  /** Everything that manifests refer to besides manifests: layers, configs, statements. */
  readonly blobs: readonly Descriptor[];
}

/** The image for one platform. */
export interface PlatformImage {
  readonly platform: Platform;
  readonly manifest: Descriptor;
  readonly config: ImageDocument;
  readonly image: ImageConfig;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
}

/** What is attested of another manifest of the image. */
export interface AttestationManifest {
  readonly manifest: Descriptor;
  readonly subject: Digest;
  readonly statements: readonly Descriptor[];
}

const maxNesting = 4;
/** An index has a few platforms, with attestations for each. */
const maxManifests = 1000;

/** Reads all documents of the image whose manifest or index is `root`. `name` is for errors. Throws `not_found` for a missing blob. */
export async function readImageDocuments(
  root: Descriptor,
  store: { readAll(digest: Digest): Promise<Uint8Array> },
  name: string,
): Promise<ImageDocuments> {
  const manifests = new Map<Digest, ImageDocument>();
  const platforms: PlatformImage[] = [];
  const attestations: AttestationManifest[] = [];
  const blobs = new Map<Digest, Descriptor>();

  const readAll = async ({ digest }: Descriptor): Promise<Uint8Array> => {
    try {
      return await store.readAll(digest);
    } catch (error) {
      throw asKilnError(error).wrap(`${name} is damaged`);
    }
  };

  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (manifests.has(descriptor.digest)) return;
    if (depth > maxNesting || manifests.size >= maxManifests) {
      throw new KilnError('invalid_argument', `${name} has too many manifests, or they are nested too deep`);
    }
    const bytes = await readAll(descriptor);
    const what = `${name}: manifest ${descriptor.digest}`;
    const document = parseManifest(bytes, what, descriptor.mediaType);
    if (document.kind === 'index') for (const child of document.manifests) await visit(child, depth + 1);
    else await visitManifest(descriptor, document);
    manifests.set(descriptor.digest, { descriptor, bytes });
  };

  const visitManifest = async (descriptor: Descriptor, { config, layers }: Manifest): Promise<void> => {
    for (const blob of [config, ...layers]) blobs.set(blob.digest, blob);
    const subject = attestedDigest(descriptor);
    if (subject !== undefined) {
      attestations.push({ manifest: descriptor, subject, statements: layers });
      return;
    }
    const document = { descriptor: config, bytes: await readAll(config) };
    const image = parseImageConfig(document.bytes, `${name}: image config`);
    const platform = descriptor.platform ?? image.platform;
    if (platform) platforms.push({ platform, manifest: descriptor, config: document, image, layers });
  };

  await visit(root, 0);
  return { root, manifests: [...manifests.values()], platforms, attestations, blobs: [...blobs.values()] };
}

/** Returns the image that serves `wanted` best. Throws `not_found` when there is none, saying what there is. */
export function platformImage({ platforms }: ImageDocuments, wanted: Platform, name: string): PlatformImage {
  const scored = platforms.map((each) => ({ each, score: platformScore(wanted, each.platform) }));
  const best = scored.reduce<(typeof scored)[number] | undefined>(
    (found, next) => (next.score > (found?.score ?? 0) ? next : found),
    undefined,
  );
  if (best) return best.each;
  const offered = platforms.map(({ platform }) => formatPlatform(platform));
  throw new KilnError('not_found', `${name} is not there for ${formatPlatform(wanted)}`, {
    hint: offered.length > 0 ? `it is there for ${offered.join(', ')}` : undefined,
  });
}
