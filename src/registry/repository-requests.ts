import { mediaTypes } from '../oci/descriptor.ts';
import { acceptedManifests } from '../oci/media-type.ts';
import { type ImageReference, repositoryName } from '../oci/reference.ts';
import { type ByteRange, rangeHeader } from './blobs/byte-range.ts';
import type { Endpoint } from './host-config.ts';
import type { RegistryRequest } from './registry-transport.ts';

/** Requests about one repository at one server: where they go, and what they have to be allowed. */

/** `name` is a tag or digest; `mediaType` what is expected, if that is known. */
export function manifestRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  name: string,
  mediaType = '',
): RegistryRequest {
  return {
    method: 'GET',
    target: `${repositoryPath(reference, endpoint)}/manifests/${name}${namespaceQuery(endpoint)}`,
    repository: name.startsWith('sha256:')
      ? `${repositoryName(reference)}@${name}`
      : `${repositoryName(reference)}:${name}`,
    scopes: [scopeOf(reference, endpoint, 'pull')],
    headers: { accept: mediaType ? `${mediaType}, */*` : `${acceptedManifests}, */*` },
  };
}

export function putManifestRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  name: string,
  manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
): RegistryRequest {
  return {
    ...writing(reference, endpoint),
    method: 'PUT',
    target: `${repositoryPath(reference, endpoint)}/manifests/${name}`,
    headers: { 'content-type': manifest.mediaType },
    body: async () => manifest.bytes,
  };
}

/** Asks what `name`, a tag or digest, stands for before a manifest is put there. */
export function manifestExistsRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  name: string,
  mediaType: string,
): RegistryRequest {
  return {
    ...writing(reference, endpoint),
    method: 'HEAD',
    target: `${repositoryPath(reference, endpoint)}/manifests/${name}`,
    headers: { accept: `${mediaType}, */*` },
  };
}

/** Not every server heeds the range. */
export function blobRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  digest: string,
  range: ByteRange,
): RegistryRequest {
  return {
    method: 'GET',
    target: `${repositoryPath(reference, endpoint)}/blobs/${digest}${namespaceQuery(endpoint)}`,
    repository: repositoryName(reference),
    scopes: [scopeOf(reference, endpoint, 'pull')],
    headers: rangeHeader(range),
  };
}

/** Asks for a blob where its publisher put it, outside of any registry. */
export function foreignRequest(reference: ImageReference, url: URL, range: ByteRange): RegistryRequest {
  return {
    method: 'GET',
    target: url,
    repository: repositoryName(reference),
    scopes: [],
    headers: rangeHeader(range),
  };
}

/** Manifests that refer to the one with this digest. */
export function referrersRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  digest: string,
  artifactType: string | undefined,
): RegistryRequest {
  const query = new URLSearchParams({
    ...(endpoint.namespace === undefined ? {} : { ns: endpoint.namespace }),
    ...(artifactType === undefined ? {} : { artifactType }),
  });
  return {
    method: 'GET',
    target: `${repositoryPath(reference, endpoint)}/referrers/${digest}${query.size > 0 ? `?${query}` : ''}`,
    repository: `${repositoryName(reference)}@${digest}`,
    scopes: [scopeOf(reference, endpoint, 'pull')],
    headers: { accept: mediaTypes.ociIndex },
  };
}

/** Asks for a blob that is uploaded if it is not there. */
export function blobExistsRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  digest: string,
): RegistryRequest {
  return {
    ...writing(reference, endpoint),
    method: 'HEAD',
    target: `${repositoryPath(reference, endpoint)}/blobs/${digest}`,
  };
}

/** Begins an upload, or has the blob mounted from another repository of the server. */
export function uploadRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  mount?: { readonly digest: string; readonly from: string },
): RegistryRequest {
  const { repository, scopes } = writing(reference, endpoint);
  const target = `${repositoryPath(reference, endpoint)}/blobs/uploads/`;
  if (!mount) return { repository, scopes, method: 'POST', target };
  const query = new URLSearchParams({ mount: mount.digest, from: mount.from });
  return {
    repository,
    scopes: [...scopes, `repository:${mount.from}:pull`],
    method: 'POST',
    target: `${target}?${query}`,
  };
}

/** What is sent to where the server wants an upload: all of it, the end of it (PUT), a part (PATCH), or a question (GET). */
export function sessionRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  request: Pick<RegistryRequest, 'method' | 'body' | 'answerTimeout'> & {
    readonly target: URL;
    /** Of the body. */
    readonly size?: number;
    /** Where the body begins in the blob. */
    readonly from?: number;
  },
): RegistryRequest {
  const { size, from, ...rest } = request;
  const headers = {
    ...(size === undefined
      ? {}
      : { 'content-type': 'application/octet-stream', 'content-length': String(size) }),
    ...(from === undefined || size === undefined ? {} : { 'content-range': `${from}-${from + size - 1}` }),
  };
  return { ...writing(reference, endpoint), ...rest, headers };
}

function writing(
  reference: ImageReference,
  endpoint: Endpoint,
): Pick<RegistryRequest, 'repository' | 'scopes'> {
  return { repository: repositoryName(reference), scopes: [scopeOf(reference, endpoint, 'pull,push')] };
}

function namespaceQuery({ namespace }: Endpoint): string {
  return namespace === undefined ? '' : `?${new URLSearchParams({ ns: namespace })}`;
}

function repositoryPath(reference: ImageReference, endpoint: Endpoint): string {
  return `${endpoint.prefix}/${reference.path}`;
}

/** The repository as the server knows it: a mirror may have it below a path of its own. */
function scopeOf(reference: ImageReference, endpoint: Endpoint, actions: string): string {
  return `repository:${repositoryPath(reference, endpoint).replace(/^\/v2\//, '')}:${actions}`;
}
