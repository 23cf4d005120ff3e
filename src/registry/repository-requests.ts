import { acceptedManifests } from '../oci/media-type.ts';
import { type ImageReference, repositoryName } from '../oci/reference.ts';
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
    target: `${repositoryPath(reference, endpoint)}/manifests/${name}`,
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

/** `offset` is the first byte that is wanted; not every server heeds it. */
export function blobRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  digest: string,
  offset: number,
): RegistryRequest {
  return {
    method: 'GET',
    target: `${repositoryPath(reference, endpoint)}/blobs/${digest}`,
    repository: repositoryName(reference),
    scopes: [scopeOf(reference, endpoint, 'pull')],
    headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
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

/** Sends the bytes of a blob to where the server wants its upload. */
export function blobUploadRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  target: URL,
  upload: { readonly size: number } & Pick<RegistryRequest, 'body' | 'answerTimeout'>,
): RegistryRequest {
  const { size, ...rest } = upload;
  return {
    ...writing(reference, endpoint),
    ...rest,
    method: 'PUT',
    target,
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
  };
}

function writing(
  reference: ImageReference,
  endpoint: Endpoint,
): Pick<RegistryRequest, 'repository' | 'scopes'> {
  return { repository: repositoryName(reference), scopes: [scopeOf(reference, endpoint, 'pull,push')] };
}

function repositoryPath(reference: ImageReference, endpoint: Endpoint): string {
  return `${endpoint.prefix}/${reference.path}`;
}

/** The repository as the server knows it: a mirror may have it below a path of its own. */
function scopeOf(reference: ImageReference, endpoint: Endpoint, actions: string): string {
  return `repository:${repositoryPath(reference, endpoint).replace(/^\/v2\//, '')}:${actions}`;
}
