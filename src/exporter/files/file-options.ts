import { KilnError } from '../../base/errors.ts';
import { type Attributes, booleanAttribute } from '../../base/text/attributes.ts';
import { type EpochOption, parseEpoch } from '../epoch.ts';
import { parseAttestationPrefix } from './attestation-files.ts';

/** What the outputs that are files have in common. */
export interface FileOptions {
  readonly epoch: EpochOption;
  /** A directory for each platform; undefined: where there are several. */
  readonly split: boolean | undefined;
  readonly attestationPrefix: string;
  /** Remove what the client has besides. */
  readonly deleteOthers: boolean;
}

/** Throws `invalid_argument`. */
export function parseFileOptions(attributes: Attributes): FileOptions {
  return {
    epoch: parseEpoch(attributes),
    split: booleanAttribute(attributes, 'platform-split'),
    attestationPrefix: parseAttestationPrefix(attributes['attestation-prefix']),
    deleteOthers: parseMode(attributes.mode) === 'delete',
  };
}

function parseMode(text: string | undefined): 'copy' | 'delete' {
  if (text === undefined || text === '') return 'copy';
  if (text === 'copy' || text === 'delete') return text;
  throw new KilnError('invalid_argument', `invalid local exporter mode ${JSON.stringify(text)}`, {
    hint: 'use copy or delete',
  });
}
