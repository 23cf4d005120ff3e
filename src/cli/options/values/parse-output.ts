import { KilnError } from '../../../base/errors.ts';
import { type OutputChoices, outputOf } from '../../../client/output-of.ts';
import type { FileDestination, Output } from '../../../client/solve-request.ts';
import { csvAttributes } from './csv-attributes.ts';

/** Whether standard output is a terminal: archives are not written to one. */
export interface OutputContext {
  readonly stdoutIsTerminal: boolean;
}

/**
 * An `--output`: `type=oci,dest=out.tar`, `type=image,name=…,push=true`, a bare path (the files of the result, into that
 * directory) or `-` (a tar archive on standard output). Without `dest`, an archive goes to standard output.
 */
export function parseOutput(text: string, context: OutputContext): Output {
  const choices: OutputChoices = {
    archive: (dest) => archiveDestination(dest, text, context),
    invalid: (why, hint) => new KilnError('invalid_argument', `--output ${text}: ${why}`, { hint }),
  };
  if (text === '-') return outputOf({ type: 'tar', dest: '-', attributes: {} }, choices);
  if (!text.includes('=')) return outputOf({ type: 'local', dest: text, attributes: {} }, choices);
  const { type, dest, ...attributes } = Object.fromEntries(csvAttributes('--output', text));
  if (!type) throw choices.invalid('the type is missing', 'for example --output type=oci,dest=image.tar');
  if (attributes.output !== undefined) {
    throw choices.invalid('there is no output=', `use dest=${attributes.output}`);
  }
  return outputOf({ type, dest, attributes }, choices);
}

function archiveDestination(dest: string | undefined, text: string, context: OutputContext): FileDestination {
  if (dest && dest !== '-') return { kind: 'path', path: dest };
  if (!context.stdoutIsTerminal) return { kind: 'stdout' };
  throw new KilnError('invalid_argument', `--output ${text}: an archive is not written to a terminal`, {
    hint: 'add dest=FILE, or redirect standard output',
  });
}
