import { asKilnError, KilnError } from '../base/errors.ts';
import { parseCsv } from '../base/text/csv.ts';
import { cutPair } from '../base/text/cut-pair.ts';

/** What results can be asked to have attested. */
const kinds = ['sbom', 'provenance'] as const;
type AttestationKind = (typeof kinds)[number];

/** Build arguments that stand for options of the other form, which win. */
const prefixes = ['build-arg:BUILDKIT_ATTEST_', 'attest:'] as const;

/**
 * The attestations that the options of a request ask for, `attest:sbom=generator=IMAGE,name=value`, each with its own options: one
 * without a value has an empty one. Throws `invalid_argument`.
 */
export function attestationRequests(
  options: Readonly<Record<string, string>>,
): ReadonlyMap<AttestationKind, ReadonlyMap<string, string>> {
  const requests = new Map<AttestationKind, ReadonlyMap<string, string>>();
  for (const prefix of prefixes) {
    for (const [name, text] of Object.entries(options)) {
      if (!name.startsWith(prefix)) continue;
      const asked = name.slice(prefix.length).toLowerCase();
      const kind = kinds.find((known) => known === asked);
      if (kind === undefined) {
        throw new KilnError('invalid_argument', `unknown attestation type ${JSON.stringify(asked)}`, {
          hint: `it can be ${kinds.join(', ')}`,
        });
      }
      requests.set(kind, settingsOf(kind, text));
    }
  }
  return requests;
}

function settingsOf(kind: AttestationKind, text: string): ReadonlyMap<string, string> {
  if (text === '') return new Map();
  try {
    return new Map(parseCsv(text).map((field) => cutPair(field) ?? ([field, ''] as const)));
  } catch (error) {
    throw asKilnError(error).wrap(`failed to parse ${kind}`);
  }
}
