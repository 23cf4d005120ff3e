import { asKilnError } from '../../base/errors.ts';
import { parseCsv } from '../../base/text/csv.ts';
import { cutPair } from '../../base/text/cut-pair.ts';
import { type ProvenanceOptions, parseProvenanceOptions } from '../../provenance/provenance-options.ts';

const option = 'provenance';

/** The provenance that the options of a request ask for; undefined for none. Throws `invalid_argument`. */
export function provenanceRequest(options: Readonly<Record<string, string>>): ProvenanceOptions | undefined {
  const asked = Object.entries(options).find(
    ([name]) => /^(?:attest:|build-arg:BUILDKIT_ATTEST_)(.*)$/.exec(name)?.[1]?.toLowerCase() === option,
  );
  if (!asked) return undefined;
  try {
    const fields = asked[1] === '' ? [] : parseCsv(asked[1]);
    return parseProvenanceOptions(new Map(fields.map((field) => cutPair(field) ?? [field, ''])));
  } catch (error) {
    throw asKilnError(error).wrap(`failed to parse ${option}`);
  }
}
