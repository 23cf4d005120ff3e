import { asKilnError, KilnError } from '../../base/errors.ts';
import { type Attributes, booleanAttribute } from '../../base/text/attributes.ts';
import { writeBlob } from '../../content/content.ts';
import { isIndexType, isManifestType } from '../../oci/media-type.ts';
import { formatReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { clientAuth, type RegistryCredentials } from '../../registry/client-auth.ts';
import type { Registry } from '../../registry/registry.ts';
import type { CacheAccess, CacheBackend, CacheBackendType, CachePurpose } from '../cache-backend.ts';

export interface RegistryCacheServices {
  readonly registry: Registry;
  readonly credentials: RegistryCredentials;
}

/** Caches in a repository of a registry, under a tag: `ref`, `registry.insecure`. */
export function createRegistryCache(services: RegistryCacheServices): CacheBackendType {
  return {
    type: 'registry',
    exportName: 'exporting cache to registry',
    open: (attributes, purpose) => openRegistryCache(attributes, purpose, services),
  };
}

function openRegistryCache(
  attributes: Attributes,
  purpose: CachePurpose,
  { registry, credentials }: RegistryCacheServices,
): CacheBackend {
  if (!attributes.ref) throw new KilnError('invalid_argument', 'missing ref');
  const reference = withDefaultTag(parseReference(attributes.ref));
  const place = formatReference(reference);
  const insecure = booleanAttribute(attributes, 'registry.insecure') ?? false;
  const context = <T extends CacheAccess>({ sessions, ...access }: T) => ({
    ...access,
    auth: clientAuth(credentials, sessions),
    insecure,
  });
  return {
    place,
    form: 'manifest',
    names: [place],
    // More than the registry client transfers at once: what exists there already costs only a question.
    uploads: 16,
    layerAnnotations: { [`containerd.io/distribution.source.${reference.domain}`]: reference.path },

    async hasBlob(blob, access) {
      // A push asks for the blob itself.
      if (purpose !== 'import') return false;
      return (await registry.blobSize(reference, blob.digest, context(access))) !== undefined;
    },

    async writeBlob(blob, body, access) {
      await registry.pushBlob(reference, blob, body, {
        ...context(access),
        mountFrom: repositoriesOf(blob.annotations, reference.domain),
      });
    },

    async fetchBlob(blob, store, access) {
      if (isManifestType(blob.mediaType) || isIndexType(blob.mediaType)) {
        const bytes = await registry.fetchManifest(reference, blob, context(access));
        await writeBlob(store, bytes, { digest: blob.digest });
      } else await registry.fetchBlob(reference, blob, store, context(access));
    },

    async readDocument(_name, known, access) {
      const descriptor = await registry.resolve(reference, context(access)).catch(unlessMissing);
      if (!descriptor) return undefined;
      if (descriptor.digest === known) return 'unchanged';
      const bytes = await registry.fetchManifest(reference, descriptor, context(access));
      return { bytes, version: descriptor.digest, mediaType: descriptor.mediaType };
    },

    async writeDocument(_name, { descriptor, bytes }, access) {
      await registry.pushManifest(reference, descriptor, bytes, context(access));
    },
  };
}

/** Repositories of the same registry that have a layer already. */
function repositoriesOf(annotations: Readonly<Record<string, string>> = {}, domain: string): string[] {
  const names = annotations[`containerd.io/distribution.source.${domain}`] ?? '';
  return names.split(',').filter((name) => name !== '');
}

function unlessMissing(error: unknown): undefined {
  if (asKilnError(error).code !== 'not_found') throw error;
  return undefined;
}
