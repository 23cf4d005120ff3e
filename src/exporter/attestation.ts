import type { ProgressWriter } from '../base/progress.ts';
import type { AttestationSubject } from '../oci/in-toto.ts';
import type { ImmutableRef } from '../ref/ref.ts';

/** A statement about one platform's result, which outputs put where their users look for it. */
export type Attestation = InTotoAttestation | AttestationBundle;

interface AttestationUse {
  /** Why it is there: `sbom` or `provenance` where Kiln or its clients made it for a request, else undefined. */
  readonly reason: string | undefined;
  /** In a bundle of SBOMs: the name of the file (up to its first dot) that describes the result, not what it was made with. */
  readonly sbomCore: string | undefined;
  /** Only for outputs that keep attestations inside the image: others leave it out, and it alone makes no index. */
  readonly inlineOnly: boolean;
}

export interface InTotoAttestation extends AttestationUse {
  readonly kind: 'in-toto';
  /** `https://slsa.dev/provenance/v1`, `https://spdx.dev/Document`, … */
  readonly predicateType: string;
  /** Without any, it is about the result itself. */
  readonly subjects: readonly AttestationSubject[];
  /** Its base name is the file's in outputs of files: `provenance.json`. */
  readonly path: string;
  readonly predicate: PredicateSource;
}

/** Where the JSON of a predicate comes from. */
export type PredicateSource =
  /**
   * The engine makes it. Each output asks when it has come to the attestation, which may be never, or several times: a maker with
   * costs keeps what it made.
   */
  | { readonly kind: 'made'; readonly make: (context: PredicateContext) => Promise<Uint8Array> }
  /** The attestation's `path` in this tree, which is borrowed. */
  | { readonly kind: 'file'; readonly ref: ImmutableRef };

export interface PredicateContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
}

/** A directory of whole in-toto statements, each of which becomes an attestation. */
export interface AttestationBundle extends AttestationUse {
  readonly kind: 'bundle';
  /** All its statements must have this type; undefined: any. */
  readonly predicateType: string | undefined;
  /** Borrowed. */
  readonly ref: ImmutableRef;
  readonly path: string;
}
