import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { type ImageReference, parseReference } from '../../oci/reference.ts';
import type { LayoutStore } from '../layout-clients.ts';

export const registryBlobScheme = 'docker-image+blob';
export const layoutBlobScheme = 'oci-layout+blob';

/** Where a blob is, and which one it is. */
export type BlobPlace = {
  /** As it was written, with its scheme. */
  readonly identifier: string;
  readonly digest: Digest;
} & (
  | { readonly kind: 'registry'; readonly reference: ImageReference }
  | { readonly kind: 'layout'; readonly name: string; readonly store: LayoutStore }
);

/**
 * Parses `docker-image+blob://REPOSITORY@DIGEST` and `oci-layout+blob://NAME@DIGEST`. `layout` says in which store of which client the layout is;
 * by default it is in the store that `NAME` names, of any client of the build. Throws `invalid_argument`.
 */
export function parseBlobPlace(identifier: string, layout: Partial<LayoutStore> = {}): BlobPlace {
  const [, scheme, name = '', digest = ''] = /^([^:]*):\/\/(.*)@([^@]*)$/s.exec(identifier) ?? [];
  const invalid = (why: string) =>
    new KilnError('invalid_argument', `invalid blob ${JSON.stringify(identifier)}: ${why}`, {
      hint: `name a blob of a repository as ${registryBlobScheme}://HOST/REPOSITORY@sha256:<64 hex digits>`,
    });
  if (scheme === undefined || name === '') throw invalid('it is not named by a digest');
  if (!isDigest(digest)) throw invalid(`${JSON.stringify(digest)} is not a digest`);
  switch (scheme) {
    case registryBlobScheme:
      return { kind: 'registry', identifier, digest, reference: parseReference(`${name}@${digest}`) };
    case layoutBlobScheme: {
      const storeId = layout.storeId || name.replace(/:[^:/]*$/, '');
      return {
        kind: 'layout',
        identifier,
        digest,
        name,
        store: { sessionId: layout.sessionId ?? '', storeId },
      };
    }
    default:
      throw invalid(`unsupported blob scheme ${JSON.stringify(scheme)}`);
  }
}
