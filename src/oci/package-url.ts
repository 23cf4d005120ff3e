import { formatPlatform, type Platform } from '../base/platform.ts';
import { familiarReference, type ImageReference, withDefaultTag } from './reference.ts';

/** What a package URL says about a part of an image. */
export interface PartQualifiers {
  readonly refType: 'blob' | 'bundle';
  /** The repository that a bundle is of. */
  readonly vcsUrl?: string;
}

/** An image as a package URL, `pkg:docker/library/app@1.0?platform=linux%2Famd64` (package-url/purl-spec), as BuildKit writes them. */
export function imagePackageUrl(
  reference: ImageReference,
  platform?: Platform,
  type: 'docker' | 'oci' = 'docker',
  part?: PartQualifiers,
): string {
  const { digest, tag, ...name } = withDefaultTag(reference);
  const parts = familiarReference(name).split('/').map(queryEscape).join('/');
  const version = tag === undefined ? '' : `@${pathEscape(tag)}`;
  const qualifiers = [
    ...(digest === undefined ? [] : [`digest=${pathEscape(digest)}`]),
    ...(platform === undefined
      ? []
      : [`platform=${pathEscape(formatPlatform({ ...platform, osVersion: undefined }))}`]),
    ...(part ? [`ref_type=${part.refType}`] : []),
    ...(part?.vcsUrl === undefined ? [] : [`vcs_url=${pathEscape(part.vcsUrl)}`]),
  ];
  return `pkg:${type}/${parts}${version}${qualifiers.length > 0 ? `?${qualifiers.join('&')}` : ''}`;
}

/** Percent-encoding as Go has it for queries. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

/** Percent-encoding as Go has it for one segment of a path. */
function pathEscape(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll(/%(3A|40|26|3D|2B|24)/g, (escaped) => decodeURIComponent(escaped));
}
