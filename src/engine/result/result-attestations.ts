import { KilnError } from '../../base/errors.ts';
import type { Attestation } from '../../exporter/attestation.ts';
import type { FrontendResult, SolvedRef } from '../../frontend/frontend.ts';
import type { ResultAttestation } from '../../frontend/result-attestation.ts';
import { isProvenanceType, parsePredicateType } from '../../oci/in-toto.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { PlatformRef } from './result-platforms.ts';

/** Metadata of attestations that outputs know. */
const metadataKeys = { reason: 'reason', sbomCore: 'sbom-core', inlineOnly: 'inline-only' } as const;

/** Far more than any frontend attaches: each costs every output a document. */
const maxAttestations = 1_000;

/**
 * A frontend's attestations of one result for the outputs, with their trees. Throws `invalid_argument` for those without files, and for
 * provenance: what a result was made of is said by the engine, which knows.
 */
export async function exportedAttestations(
  { id, attestations }: Pick<PlatformRef, 'id' | 'attestations'>,
  treeOf: (tree: SolvedRef) => Promise<ImmutableRef>,
): Promise<readonly Attestation[]> {
  if (attestations.length > maxAttestations) {
    throw invalid(id, `the result has ${attestations.length} of them, more than ${maxAttestations}`);
  }
  return await Promise.all(attestations.map((each) => exported(each, id, treeOf)));
}

async function exported(
  { kind, metadata, tree, path, subjects, ...rest }: ResultAttestation<SolvedRef>,
  id: string,
  treeOf: (tree: SolvedRef) => Promise<ImmutableRef>,
): Promise<Attestation> {
  const predicateType = parsePredicateType(rest.predicateType, `attestation of ${id}`);
  if (isProvenanceType(predicateType)) throw invalid(id, 'frontend may not set provenance attestations');
  if (/(^|\/)\.\.(\/|$)/.test(path)) {
    throw invalid(id, `the path ${JSON.stringify(path)} leaves the tree of the attestation`);
  }
  const text = (key: string) => {
    const value = metadata.get(key);
    return value && Buffer.from(value).toString('utf8');
  };
  const use = {
    reason: text(metadataKeys.reason),
    sbomCore: text(metadataKeys.sbomCore),
    inlineOnly: text(metadataKeys.inlineOnly) === 'true',
  };
  switch (kind) {
    case 'bundle':
      if (!tree) throw invalid(id, 'no ref provided for attestation bundle');
      return { kind, ...use, predicateType: predicateType || undefined, ref: await treeOf(tree), path };
    case 'in-toto': {
      if (/^[./]*$/.test(path)) throw invalid(id, 'attestation does not have set path');
      if (!tree) throw invalid(id, 'attestation does not have available content');
      const predicate = { kind: 'file', ref: await treeOf(tree) } as const;
      return { kind, ...use, predicateType, subjects, path, predicate };
    }
  }
}

function invalid(id: string, reason: string): KilnError {
  return new KilnError('invalid_argument', `attestation of ${id}: ${reason}`);
}

/** Why some attestations of a result go nowhere; undefined when all belong to a platform that it has. */
export function strayAttestations(
  { attestations }: FrontendResult,
  platforms: readonly PlatformRef[],
): string | undefined {
  const stray = [...(attestations?.keys() ?? [])].filter((id) => platforms.every((each) => each.id !== id));
  if (stray.length === 0) return undefined;
  return `Attestations for ${stray.join(', ')} are left out: the result has ${platforms.map(({ id }) => id).join(', ') || 'no platforms'}`;
}
