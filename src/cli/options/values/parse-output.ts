import { KilnError } from '../../../base/errors.ts';
import type { FileDestination, Output } from '../../../client/solve-request.ts';
import { csvAttributes } from './csv-attributes.ts';
import { parseBoolean } from './parse-values.ts';

/** Whether standard output is a terminal: archives are not written to one. */
export interface OutputContext {
  readonly stdoutIsTerminal: boolean;
}

/**
 * An `--output`: `type=oci,dest=out.tar`, `type=image,name=…,push=true`, a bare path (the files of the result, into that
 * directory) or `-` (a tar archive on standard output). Without `dest`, an archive goes to standard output.
 */
export function parseOutput(text: string, context: OutputContext): Output {
  if (text === '-') return archive('tar', {}, text, '-', context);
  if (!text.includes('=')) {
    return { kind: 'directory', exporter: 'local', attributes: {}, path: text, remove: false };
  }
  const { type, dest, ...attributes } = Object.fromEntries(csvAttributes('--output', text));
  if (!type) {
    throw new KilnError('invalid_argument', `--output ${text}: the type is missing`, {
      hint: 'for example --output type=oci,dest=image.tar',
    });
  }
  if (attributes.output !== undefined) {
    throw new KilnError('invalid_argument', `--output ${text}: there is no output=`, {
      hint: `use dest=${attributes.output}`,
    });
  }
  switch (type) {
    case 'local':
      return {
        kind: 'directory',
        exporter: type,
        attributes,
        path: required(dest, text),
        remove: attributes.mode === 'delete',
      };
    case 'tar':
      return archive(type, attributes, text, dest, context);
    case 'oci':
    case 'docker':
      return attributes.tar !== undefined && !parseBoolean(`--output ${text}: tar`, attributes.tar)
        ? { kind: 'layout', exporter: type, attributes, path: required(dest, text) }
        : archive(type, attributes, text, dest, context);
    default:
      if (dest !== undefined) {
        throw new KilnError('invalid_argument', `--output ${text}: type ${type} has no destination`);
      }
      return {
        kind: 'engine',
        exporter: type === 'registry' ? 'image' : type,
        attributes: pushed(type, attributes),
      };
  }
}

/** `registry` is short for an image that is pushed. */
function pushed(type: string, attributes: Readonly<Record<string, string>>) {
  return type === 'registry' ? { push: 'true', ...attributes } : attributes;
}

function required(dest: string | undefined, text: string): string {
  if (dest) return dest;
  throw new KilnError('invalid_argument', `--output ${text}: the destination directory is missing`, {
    hint: 'add dest=DIRECTORY',
  });
}

function archive(
  exporter: string,
  attributes: Readonly<Record<string, string>>,
  text: string,
  dest: string | undefined,
  context: OutputContext,
): Output {
  let destination: FileDestination;
  if (dest && dest !== '-') destination = { kind: 'path', path: dest };
  else if (!context.stdoutIsTerminal) destination = { kind: 'stdout' };
  else {
    throw new KilnError('invalid_argument', `--output ${text}: an archive is not written to a terminal`, {
      hint: 'add dest=FILE, or redirect standard output',
    });
  }
  return { kind: 'file', exporter, attributes, destination };
}
