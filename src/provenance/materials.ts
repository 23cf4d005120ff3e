import type { Digest } from '../base/digest.ts';
import type { DigestSet } from '../oci/in-toto.ts';
import { imagePackageUrl } from '../oci/package-url.ts';
import type { BlobMaterial, Capture } from './capture.ts';

/** A source that a result was made of, as both versions of the predicate list it. */
export interface Material {
  readonly uri: string;
  readonly digest: DigestSet;
}

/** Directories of the client are none: nobody else can get them. */
export function materialsOf({ images, blobs, repositories, downloads }: Capture): readonly Material[] {
  return [
    ...images.map(({ reference, platform, digest, local }) => ({
      uri: imagePackageUrl(reference, platform, local ? 'oci' : 'docker'),
      digest: digestSet(digest),
    })),
    ...blobs.map(({ reference, digest, local }) => ({
      uri: imagePackageUrl(reference, undefined, local ? 'oci' : 'docker', { refType: 'blob' }),
      digest: digestSet(digest),
    })),
    ...repositories.flatMap(({ url, commit, bundle }) => [
      { uri: url, digest: commitDigest(commit) },
      ...(bundle ? [bundleMaterial(bundle, url)] : []),
    ]),
    ...downloads.map(({ url, digest }) => ({ uri: url, digest: digestSet(digest) })),
  ];
}

function bundleMaterial({ reference, digest, local }: BlobMaterial, url: string): Material {
  const { domain, path, tag } = reference;
  const part = { refType: 'bundle', vcsUrl: url } as const;
  return {
    uri: imagePackageUrl({ domain, path, tag }, undefined, local ? 'oci' : 'docker', part),
    digest: digestSet(digest),
  };
}

export function digestSet(digest: Digest): DigestSet {
  const [algorithm = '', hex = ''] = digest.split(':');
  return { [algorithm]: hex };
}

export function commitDigest(commit: string): DigestSet {
  return { [commit.length === 64 ? 'sha256' : 'sha1']: commit };
}
