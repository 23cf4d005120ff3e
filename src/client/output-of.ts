import type { KilnError } from '../base/errors.ts';
import { parseGoBool } from '../base/text/go-bool.ts';
import type { Attributes, FileDestination, Output } from './solve-request.ts';

/** An output as users name it. */
export interface NamedOutput {
  /** Of the exporter; `registry` is short for an image that is pushed. */
  readonly type: string;
  readonly dest?: string;
  readonly attributes: Attributes;
}

export interface OutputChoices {
  /** Where an archive goes. */
  archive(dest: string | undefined): FileDestination;
  /** The error for an output that makes no sense. */
  invalid(why: string, hint?: string): KilnError;
}

/** The output, by the kind that its exporter has. */
export function outputOf({ type, dest, attributes }: NamedOutput, choices: OutputChoices): Output {
  const directory = (): string => {
    if (dest) return dest;
    throw choices.invalid('the destination directory is missing', 'add dest=DIRECTORY');
  };
  const file = (): Output => ({
    kind: 'file',
    exporter: type,
    attributes,
    destination: choices.archive(dest),
  });
  switch (type) {
    case 'local':
      return {
        kind: 'directory',
        exporter: type,
        attributes,
        path: directory(),
        remove: attributes.mode === 'delete',
      };
    case 'tar':
      return file();
    case 'oci':
    case 'docker': {
      const { tar = 'true' } = attributes;
      const asFile = parseGoBool(tar);
      if (asFile === undefined) {
        throw choices.invalid(`tar: ${JSON.stringify(tar)} is neither true nor false`);
      }
      return asFile ? file() : { kind: 'layout', exporter: type, attributes, path: directory() };
    }
    default:
      if (dest !== undefined) throw choices.invalid(`type ${type} has no destination`);
      return type === 'registry'
        ? { kind: 'engine', exporter: 'image', attributes: { push: 'true', ...attributes } }
        : { kind: 'engine', exporter: type, attributes };
  }
}
