import type { Digest } from '../../base/digest.ts';
import { type ContentStore, writeBlob } from '../../content/content.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { isIndexType, isManifestType } from '../../oci/media-type.ts';
import { formatReference, type ImageReference, repositoryName } from '../../oci/reference.ts';
import { clientAuth, type RegistryCredentials } from '../../registry/client-auth.ts';
import type { Registry } from '../../registry/registry.ts';
import type { SourceContext } from '../source.ts';
import type { ImageOrigin } from './image-origin.ts';

export interface RegistryOriginOptions {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly credentials: RegistryCredentials;
  readonly seen: SeenImages;
}

/** An image in a registry. Documents that are here already are not fetched again. */
export function registryOrigin(reference: ImageReference, options: RegistryOriginOptions): ImageOrigin {
  const { registry, content, credentials, seen } = options;
  const registryContext = (signal: AbortSignal, sessions: readonly string[]) => ({
    signal,
    auth: clientAuth(credentials, sessions),
  });
  return {
    name: formatReference(reference),
    layerAnnotations: { [`containerd.io/distribution.source.${reference.domain}`]: reference.path },

    async resolve(context) {
      const pinned = await seen.find(reference, content);
      if (pinned) return pinned;
      const resolved = await registry.resolve(reference, registryContext(context.signal, context.sessions()));
      seen.add(reference, resolved.digest);
      return resolved;
    },

    async document(descriptor, context: SourceContext) {
      if (await content.stat(descriptor.digest)) return content.readAll(descriptor.digest);
      const access = registryContext(context.signal, context.sessions());
      if (isIndexType(descriptor.mediaType) || isManifestType(descriptor.mediaType)) {
        const bytes = await registry.fetchManifest(reference, descriptor, access);
        await writeBlob(content, bytes, { digest: descriptor.digest });
        return bytes;
      }
      await registry.fetchBlob(reference, descriptor, content, access);
      return content.readAll(descriptor.digest);
    },

    referrers: (subject, { signal, sessions }) =>
      registry.referrers(reference, subject, registryContext(signal, sessions())),

    layerPart: (descriptor, range, { signal, sessions }) =>
      registry.readBlob(reference, descriptor, range, registryContext(signal, sessions)),

    layer: (descriptor, store, { signal, sessions, onProgress }) =>
      registry.fetchBlob(reference, descriptor, store, { ...registryContext(signal, sessions), onProgress }),
  };
}

const capacity = 4096;

/**
 * Which manifests were seen in which repository. An image named by its digest need not be asked for again, unless it never came from
 * that repository: it could be a secret of another repository that happens to be here.
 */
export class SeenImages {
  readonly #seen = new Set<string>();

  add(reference: ImageReference, digest: Digest): void {
    this.#seen.add(`${repositoryName(reference)}@${digest}`);
    const oldest = this.#seen.keys().next();
    if (this.#seen.size > capacity && !oldest.done) this.#seen.delete(oldest.value);
  }

  async find(reference: ImageReference, content: ContentStore): Promise<Descriptor | undefined> {
    const { digest } = reference;
    if (digest === undefined || !this.#seen.has(`${repositoryName(reference)}@${digest}`)) return undefined;
    const info = await content.stat(digest);
    if (!info) return undefined;
    const { mediaType } = parseManifest(await content.readAll(digest), formatReference(reference));
    return { mediaType, digest, size: info.size };
  }
}
