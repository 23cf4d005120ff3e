import { inTurns } from '../base/async/in-turns.ts';
import { jsonSteps } from '../base/json/json-steps.ts';
import { predicateParts } from './predicate-parts.ts';
import { predicateV1 } from './predicate-v1.ts';
import { predicateV02 } from './predicate-v02.ts';
import type { ProvenanceAccount } from './provenance-account.ts';
import type { ProvenanceOptions, ProvenanceVersion } from './provenance-options.ts';

/** The type of a predicate, as statements and annotations name it. */
export const predicateTypes: Readonly<Record<ProvenanceVersion, string>> = {
  'v0.2': 'https://slsa.dev/provenance/v0.2',
  v1: 'https://slsa.dev/provenance/v1',
};

const predicates = { 'v0.2': predicateV02, v1: predicateV1 } as const;

/** A predicate as JSON. Takes time linear in the definition, and lets the event loop turn meanwhile. */
export async function provenancePredicate(
  account: ProvenanceAccount,
  options: Pick<ProvenanceOptions, 'version' | 'mode' | 'builderId' | 'reproducible'>,
): Promise<Uint8Array> {
  const parts = await predicateParts(account, options);
  const predicate = predicates[options.version](parts);
  return await inTurns(jsonSteps(predicate, { text: (value) => parts.redactor.text(value) }));
}
