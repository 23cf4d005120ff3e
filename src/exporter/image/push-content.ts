import { mapLimit } from '../../base/async/lifetime.ts';
import { withStatus } from '../../base/progress.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageDocument } from '../../oci/image-document.ts';
import { formatReference, type ImageReference, withDigest } from '../../oci/reference.ts';
import type { BlobBody, Registry, RegistryAuth } from '../../registry/registry.ts';
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

/** Pushes blobs, then manifests, then what names them: the registry never refers to what it does not have. */
export async function pushContent(
  { blobs, manifests }: PushedContent,
  reference: ImageReference,
  access: PushAccess,
  registry: Registry,
  { signal, progress }: Pick<ExportContext, 'signal' | 'progress'>,
): Promise<void> {
  const distinct = [...new Map(blobs.map((blob) => [blob.descriptor.digest, blob])).values()];
  await withStatus(progress, 'pushing layers', () =>
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
  const root = manifests.at(-1)!;
  const shown = formatReference(withDigest(reference, root.descriptor.digest));
  await withStatus(progress, `pushing manifest for ${shown}`, async () => {
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
