import { KilnError } from '../../../base/errors.ts';
import { parseCsv } from '../../../base/text/csv.ts';
import { cutPair } from '../../../base/text/cut-pair.ts';
import { parseGoBool } from '../../../base/text/go-bool.ts';
import { parseBoolean } from './parse-values.ts';

export interface AttestFlags {
  readonly attest: readonly string[];
  readonly provenance?: string;
  readonly sbom?: string;
  readonly push?: boolean;
}

/** What Docker's client asks for where nothing is said: provenance inside the image, of which others need not know. */
const defaultProvenance = 'mode=min,inline-only=true';
const noDefault = 'BUILDX_NO_DEFAULT_ATTESTATIONS';

/**
 * The attestations that flags ask for, each with its settings: `--attest type=sbom,generator=IMAGE`, `--sbom=true`,
 * `--provenance=mode=max`. The last one of a type counts. A push has provenance of its own accord, unless the environment says otherwise.
 * Throws `invalid_argument`.
 */
export function parseAttest(
  { attest, provenance, sbom, push }: AttestFlags,
  environment: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, string> {
  const asked = new Map<string, string | undefined>();
  for (const text of attest) asked.set(...parseOne(text));
  if (provenance) asked.set(...shorthand('provenance', provenance));
  if (sbom) asked.set(...shorthand('sbom', sbom));
  const withoutDefault = environment[noDefault];
  const skip = withoutDefault ? parseBoolean(noDefault, withoutDefault) : false;
  if (push && !skip && !asked.has('provenance')) asked.set('provenance', defaultProvenance);
  return new Map([...asked].filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function shorthand(type: string, value: string): [string, string | undefined] {
  const on = parseGoBool(value);
  return on === undefined ? parseOne(`type=${type},${value}`) : [type, on ? '' : undefined];
}

/** The type, and its settings; undefined when they say that it is disabled. */
function parseOne(text: string): [string, string | undefined] {
  let type: string | undefined;
  let disabled = false;
  const settings: string[] = [];
  for (const field of parseCsv(text)) {
    const [key, value] = cutPair(field) ?? [field];
    if (value === undefined) {
      throw new KilnError('invalid_argument', `--attest ${text}: invalid value ${field}`, {
        hint: 'write pairs, for example type=provenance,mode=max',
      });
    }
    switch (key.trim().toLowerCase()) {
      case 'type':
        type = value;
        break;
      case 'disabled':
        disabled = parseBoolean('disabled', value);
        break;
      default:
        settings.push(/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
    }
  }
  if (!type) {
    throw new KilnError('invalid_argument', `--attest ${text}: attestation type not specified`, {
      hint: 'begin with type=sbom or type=provenance',
    });
  }
  return [type, disabled ? undefined : settings.join(',')];
}
