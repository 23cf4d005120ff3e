import { KilnError } from '../../base/errors.ts';
import type { InTotoAttestation } from '../../exporter/attestation.ts';
import type { ExportInput } from '../../exporter/exporter.ts';
import { predicateTypes, provenancePredicate } from '../../provenance/predicate.ts';
import type { ProvenanceAccount } from '../../provenance/provenance-account.ts';
import type { ProvenanceOptions } from '../../provenance/provenance-options.ts';

/**
 * The results with the provenance that was asked for as their last attestation. Throws `failed_precondition` when complete materials
 * are asked for and some cannot be named.
 */
export function withProvenance(
  input: ExportInput,
  accounts: ReadonlyMap<string, ProvenanceAccount>,
  options: ProvenanceOptions | undefined,
): ExportInput {
  if (!options) return input;
  const results = input.results.map((result) => {
    const account = accounts.get(result.key);
    if (!account) return result;
    if (options.completeMaterials) checkComplete(account);
    return { ...result, attestations: [...result.attestations, provenanceAttestation(account, options)] };
  });
  return { ...input, results };
}

function provenanceAttestation(account: ProvenanceAccount, options: ProvenanceOptions): InTotoAttestation {
  let made: Promise<Uint8Array> | undefined;
  return {
    kind: 'in-toto',
    reason: 'provenance',
    sbomCore: undefined,
    inlineOnly: options.inlineOnly,
    predicateType: predicateTypes[options.version],
    subjects: [],
    path: options.filename,
    predicate: {
      kind: 'made',
      make: () => {
        made ??= provenancePredicate(account, options);
        return made;
      },
    },
  };
}

function checkComplete({ capture: { complete, locals } }: ProvenanceAccount): void {
  if (complete && locals.length === 0) return;
  const named = locals.map((name) => `\n  - ${name}\n    reason: local_source`).join('');
  throw new KilnError(
    'failed_precondition',
    [
      'provenance materials are incomplete\n',
      'The build requested complete provenance materials, but not all dependencies could be captured.',
      ...(locals.length > 0 ? [`\nUncaptured local sources:${named}`] : []),
    ].join('\n'),
  );
}
