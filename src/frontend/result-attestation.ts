import type { AttestationSubject } from '../oci/in-toto.ts';

/** An attestation of one platform's result, as frontends attach it: files in a tree. `Tree` is how that tree is held. */
export interface ResultAttestation<Tree> {
  /** `in-toto`: `path` is the predicate. `bundle`: `path` is a directory, each file of which is a whole in-toto statement. */
  readonly kind: 'in-toto' | 'bundle';
  /** `reason`, `sbom-core`, `inline-only`. */
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** Undefined is the empty tree. */
  readonly tree: Tree | undefined;
  readonly path: string;
  /** Of a bundle: the one that all its statements must have; empty for any. */
  readonly predicateType: string;
  /** Without any, it is about the result itself. Those of a bundle are in its statements. */
  readonly subjects: readonly AttestationSubject[];
}

/** By the ids of the result's platforms. */
export type ResultAttestations<Tree> = ReadonlyMap<string, readonly ResultAttestation<Tree>[]>;

/** The same attestations of trees that are held in another way. */
export function withTrees<From, To>(
  attestations: ResultAttestations<From> | undefined,
  convert: (tree: From) => To,
): ResultAttestations<To> | undefined {
  return (
    attestations &&
    new Map(
      [...attestations].map(([id, all]) => [
        id,
        all.map((each) => ({ ...each, tree: each.tree === undefined ? undefined : convert(each.tree) })),
      ]),
    )
  );
}
