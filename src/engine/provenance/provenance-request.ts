import { parseGoBool } from '../../base/text/go-bool.ts';
import { attestationRequests } from '../../frontend/attestation-requests.ts';
import { type ProvenanceOptions, parseProvenanceOptions } from '../../provenance/provenance-options.ts';

/** The provenance that the options of a request ask for; undefined for none, and for `disabled=true`. Throws `invalid_argument`. */
export function provenanceRequest(options: Readonly<Record<string, string>>): ProvenanceOptions | undefined {
  const settings = attestationRequests(options).get('provenance');
  if (!settings || parseGoBool(settings.get('disabled') ?? '') === true) return undefined;
  return parseProvenanceOptions(settings);
}
