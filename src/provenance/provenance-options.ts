import { KilnError } from '../base/errors.ts';
import { parseGoBool } from '../base/text/go-bool.ts';

export type ProvenanceVersion = 'v0.2' | 'v1';

/** How a client wants provenance to be made. */
export interface ProvenanceOptions {
  readonly version: ProvenanceVersion;
  /** `min` leaves out the definition, build arguments, labels and secrets. */
  readonly mode: 'min' | 'max';
  readonly builderId: string;
  /** What the client claims of its build. */
  readonly reproducible: boolean;
  /** Fails the build if something that it is made of cannot be named. */
  readonly completeMaterials: boolean;
  /** Only for images with attestations inside. */
  readonly inlineOnly: boolean;
  readonly filename: string;
}

/** The pairs of the option `attest:provenance`. Throws `invalid_argument`. */
export function parseProvenanceOptions(pairs: ReadonlyMap<string, string>): ProvenanceOptions {
  return {
    version: parseVersion(pairs.get('version') ?? 'v1'),
    mode: parseMode(pairs.get('mode') ?? 'max'),
    builderId: pairs.get('builder-id') ?? '',
    reproducible: parseFlag('reproducible', pairs.get('reproducible')),
    completeMaterials: parseFlag('complete-materials', pairs.get('complete-materials')),
    inlineOnly: parseGoBool(pairs.get('inline-only') ?? '') ?? false,
    filename: pairs.get('filename') ?? 'provenance.json',
  };
}

function parseVersion(text: string): ProvenanceVersion {
  if (text === 'v0.2' || text === 'v1') return text;
  if (text === '') throw invalid('provenance SLSA version cannot be empty');
  throw invalid(`invalid provenance SLSA version: ${text}`);
}

function parseMode(text: string): 'min' | 'max' {
  switch (text) {
    case 'min':
    case 'max':
      return text;
    case 'full':
      return 'max';
    default:
      throw invalid(`invalid mode ${JSON.stringify(text)}`);
  }
}

function parseFlag(name: string, text: string | undefined): boolean {
  const flag = text === undefined ? false : parseGoBool(text);
  if (flag === undefined) throw invalid(`failed to parse ${name} flag ${JSON.stringify(text)}`);
  return flag;
}

function invalid(message: string): KilnError {
  return new KilnError('invalid_argument', message);
}
