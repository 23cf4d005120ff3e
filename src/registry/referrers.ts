import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { HttpAnswer } from '../http/http-client.ts';
import { type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import { encodeManifest, type Index, type Manifest, parseManifest } from '../oci/manifest.ts';
import { type ImageReference, repositoryName } from '../oci/reference.ts';

/** Referrers as the distribution specification has them: manifests that name another one as their subject. */

/** The index of a subject's referrers at a registry that does not keep it itself. */
export function referrersTag({ domain, path }: ImageReference, subject: string): ImageReference {
  return { domain, path, tag: subject.replace(':', '-') };
}

/** The entries of an index of referrers. Throws `invalid_argument` for what is no index. */
export function referrersIn(bytes: Uint8Array, reference: ImageReference): readonly Descriptor[] {
  const what = `${repositoryName(reference)}: its referrers`;
  const index = parseManifest(bytes, what, mediaTypes.ociIndex);
  if (index.kind !== 'index') throw new KilnError('invalid_argument', `${what} are no index`);
  return index.manifests;
}

/** What an index says of a manifest that refers to another one. */
export function referrerOf(descriptor: Descriptor, manifest: Manifest | Index): Descriptor {
  const { mediaType, digest, size } = descriptor;
  const artifactType =
    manifest.artifactType ?? (manifest.kind === 'manifest' ? manifest.config.mediaType : undefined);
  return { mediaType, digest, size, artifactType, annotations: manifest.annotations };
}

/** The index of referrers with one more entry; undefined when it is there already. */
export function withReferrer(
  entries: readonly Descriptor[],
  referrer: Descriptor,
): { readonly descriptor: Descriptor; readonly bytes: Uint8Array } | undefined {
  if (entries.some(({ digest }) => digest === referrer.digest)) return undefined;
  const mediaType = mediaTypes.ociIndex;
  const bytes = encodeManifest({ kind: 'index', mediaType, manifests: [...entries, referrer] });
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}

/** Where the rest of a list is; undefined when there is no more (RFC 8288). Only the server that gave the list may be asked. */
export function nextPage({ headers, url }: Pick<HttpAnswer, 'headers' | 'url'>): URL | undefined {
  const { link } = headers;
  const target = typeof link === 'string' ? /^<([^<>]*)>\s*;[^,]*\brel="?next\b/.exec(link)?.[1] : undefined;
  const next = target === undefined ? undefined : (URL.parse(target, url.href) ?? undefined);
  return next?.origin === url.origin ? next : undefined;
}
