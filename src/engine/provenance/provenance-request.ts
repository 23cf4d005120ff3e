import { asKilnError } from '../../base/errors.ts';
import { attestationRequests } from '../../frontend/attestation-requests.ts';
import { type ProvenanceOptions, parseProvenanceOptions } from '../../provenance/provenance-options.ts';

/** The provenance that the options of a request ask for; undefined for none. Throws `invalid_argument`. */
export function provenanceRequest(options: Readonly<Record<string, string>>): ProvenanceOptions | undefined {
  const settings = attestationRequests(options).get('provenance');
  if (!settings) return undefined;
  try {
    return parseProvenanceOptions(settings);
  } catch (error) {
    throw asKilnError(error).wrap('failed to parse provenance');
  }
}
