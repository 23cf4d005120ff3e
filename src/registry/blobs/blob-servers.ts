import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageReference } from '../../oci/reference.ts';
import type { Endpoint } from '../host-config.ts';
import { anonymousAuth, type RegistryContext } from '../registry.ts';
import type { RegistryTransport } from '../registry-transport.ts';
import { blobRequest, foreignRequest } from '../repository-requests.ts';
import type { BlobServer } from './blob-download.ts';

/** A registry, or a mirror of it, as a server of a blob. */
export function registryServer(
  transport: RegistryTransport,
  endpoint: Endpoint,
  blob: { readonly reference: ImageReference; readonly descriptor: Descriptor },
  context: RegistryContext,
): BlobServer {
  return {
    host: endpoint.host,
    open: (range, signal) =>
      transport.expect(
        endpoint,
        blobRequest(blob.reference, endpoint, blob.descriptor.digest, range),
        { ...context, signal },
        [200, 206],
      ),
  };
}

/** Where a publisher put a layer that registries do not keep; undefined for what is no URL of HTTP. It is asked without credentials. */
export function foreignServer(
  transport: RegistryTransport,
  text: string,
  reference: ImageReference,
): BlobServer | undefined {
  const url = URL.parse(text);
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return undefined;
  const endpoint: Endpoint = {
    host: url.host,
    prefix: '',
    mirror: false,
    schemes: [url.protocol === 'https:' ? 'https' : 'http'],
    verify: true,
    config: {},
  };
  return {
    host: url.host,
    open: (range, signal) =>
      transport.expect(
        endpoint,
        foreignRequest(reference, url, range),
        { auth: anonymousAuth, signal },
        [200, 206],
      ),
  };
}
