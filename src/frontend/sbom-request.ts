import { asKilnError, KilnError } from '../base/errors.ts';
import { formatReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import { attestationRequests } from './attestation-requests.ts';

/** A request for a software bill of materials. */
export interface SbomRequest {
  /** The image of the scanner, in its full form. */
  readonly generator: string;
  /** What the scanner is told besides: variables, by the end of their names. */
  readonly parameters: ReadonlyMap<string, string>;
}

const defaultGenerator = 'docker/buildkit-syft-scanner:stable-1';

/** The SBOM that the options of a request ask for; undefined for none. Throws `invalid_argument`. */
export function sbomRequest(options: Readonly<Record<string, string>>): SbomRequest | undefined {
  const settings = attestationRequests(options).get('sbom');
  if (!settings) return undefined;
  const parameters = new Map(settings);
  const generator = parameters.get('generator') ?? defaultGenerator;
  parameters.delete('generator');
  if (generator === '') throw new KilnError('invalid_argument', 'sbom generator cannot be empty');
  try {
    return { generator: formatReference(withDefaultTag(parseReference(generator))), parameters };
  } catch (error) {
    throw asKilnError(error).wrap(`failed to parse sbom generator ${generator}`);
  }
}
