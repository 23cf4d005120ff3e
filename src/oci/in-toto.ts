import { KilnError } from '../base/errors.ts';

/** Digests of one thing by the names of their algorithms, in hex (in-toto's `DigestSet`). */
export type DigestSet = Readonly<Record<string, string>>;

/**
 * What an attestation is about: the result that it is attached to, by the names and digests that each output gives it (and by `name`,
 * if there is one), or something else, which it names itself.
 */
export type AttestationSubject =
  | { readonly kind: 'self'; readonly name: string | undefined }
  | { readonly kind: 'raw'; readonly name: string | undefined; readonly digest: DigestSet };

/** The media type of an in-toto statement. */
export const statementMediaType = 'application/vnd.in-toto+json';

/** The layer annotation that says of which type a statement's predicate is. */
export const predicateTypeAnnotation = 'in-toto.io/predicate-type';

/** A software bill of materials in SPDX's form. */
export const spdxPredicateType = 'https://spdx.dev/Document';

/** What the predicate types of build provenance begin with; the version follows. */
const provenancePredicateTypes = 'https://slsa.dev/provenance/';

export function isProvenanceType(predicateType: string): boolean {
  return predicateType.startsWith(provenancePredicateTypes);
}

/** Reads digests of the form `sha256:<hex>`, of any algorithm. Throws `invalid_argument`. */
export function parseDigestSet(digests: readonly string[]): DigestSet {
  return Object.fromEntries(
    digests.map((digest) => {
      const match = /^([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(digest);
      if (match) return [match[1]!, match[2]!] as const;
      throw new KilnError(
        'invalid_argument',
        `invalid digest ${JSON.stringify(digest.slice(0, 200))} of an attestation's subject`,
      );
    }),
  );
}
