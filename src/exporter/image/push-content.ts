import { mapLimit } from '../../base/async/lifetime.ts';
import { withStatus } from '../../base/progress.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageDocument } from '../../oci/image-document.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { formatReference, type ImageReference, withDigest } from '../../oci/reference.ts';
import type { BlobBody, Registry, RegistryAuth, RegistryContext } from '../../registry/registry.ts';
import type { ExportContext } from '../exporter.ts';

/** What a manifest refers to. */
export interface PushedBlob extends BlobBody {
  readonly descriptor: Descriptor;
  /** Repositories of the same registry that have it already. */
  readonly mountFrom?: readonly string[];
}

export interface PushedContent {
  readonly blobs: readonly PushedBlob[];
  /** Children before parents; the last one is what gets the name. */
  readonly manifests: readonly ImageDocument[];
}

export interface PushAccess {
  readonly auth: RegistryAuth;
  readonly insecure: boolean;
}

/** More than the registry client transfers at once: what exists there already costs only a question. */
const blobsAtOnce = 16;

/**
 * Pushes blobs, then manifests, then what names them: the registry never refers to what it does not have. While blobs are asked for, it is asked what the name stands
 * for: if that is the same and no blob was missing, no manifest is sent.
 */
export async function pushContent(
  { blobs, manifests }: PushedContent,
  reference: ImageReference,
  access: PushAccess,
  registry: Registry,
  { signal, progress }: Pick<ExportContext, 'signal' | 'progress'>,
): Promise<void> {
  const root = manifests.at(-1)!;
  const isNamed = findNamed(root, reference, registry, { ...access, signal });
  // Who waits for it learns of it, unless the blobs fail.
  isNamed.catch(() => {});
  const distinct = [...new Map(blobs.map((blob) => [blob.descriptor.digest, blob])).values()];
  const outcomes = await withStatus(progress, 'pushing layers', () =>
    mapLimit(
      distinct,
      blobsAtOnce,
      (blob, _index, each) =>
        registry.pushBlob(reference, blob.descriptor, blob, {
          ...access,
          signal: each,
          mountFrom: blob.mountFrom,
        }),
      signal,
    ),
  );
  const isThere = (await isNamed) && outcomes.every((outcome) => outcome === 'exists');
  const shown = formatReference(withDigest(reference, root.descriptor.digest));
  await withStatus(progress, `pushing manifest for ${shown}`, async () => {
    if (isThere) return;
    const untagged = { domain: reference.domain, path: reference.path };
    for (const manifest of manifests) {
      await registry.pushManifest(
        manifest === root ? reference : untagged,
        manifest.descriptor,
        manifest.bytes,
        // Attestations are entries of the index of their image.
        { ...access, signal, namedByIndex: manifest !== root },
      );
    }
  });
}

/** One with a subject is sent in any case: it may be missing in a list of referrers. */
async function findNamed(
  { descriptor, bytes }: ImageDocument,
  reference: ImageReference,
  registry: Registry,
  context: RegistryContext,
): Promise<boolean> {
  if (parseManifest(bytes, formatReference(reference), descriptor.mediaType).subject) return false;
  return await registry.hasManifest(reference, descriptor, context);
}
