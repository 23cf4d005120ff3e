import type { Digest } from '../base/digest.ts';
import { withoutCredentials } from '../base/secrecy/without-credentials.ts';
import type { FileAction, Op, OpMetadata } from './op.ts';
import { noIndex } from './op.ts';

/** The description key with which a client names a vertex for display. */
export const customNameKey = 'llb.customname';

/** How many characters of an input's name a vertex's own name may hold: names made of names would grow without end. */
const longestInputName = 200;

/** What a progress display calls a vertex: the name that its client gave it, or else one made of what it does, as BuildKit makes it. */
export function vertexName(op: Op, metadata: OpMetadata, nameOf: (input: Digest) => string): string {
  return (
    metadata.description[customNameKey] ?? opName(op, (input) => shortened(nameOf(input), longestInputName))
  );
}

/** The text, cut to `limit` characters and an ellipsis if it is longer. */
export function shortened(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}…`;
}

function opName({ action, inputs }: Op, nameOf: (input: Digest) => string): string {
  const inputName = (index: number) => (index === noIndex ? 'scratch' : `(${nameOf(inputs[index]!.digest)})`);
  switch (action.kind) {
    case 'exec':
      return action.meta.args.join(' ');
    case 'source':
      return withoutCredentials(action.identifier);
    case 'file':
      return action.actions.map(({ change }) => changeName(change)).join(', ');
    case 'build':
      return 'build';
    case 'merge':
      return `merge (${inputs.map(({ digest }) => nameOf(digest)).join(', ')})`;
    case 'diff':
      return `diff ${inputName(action.lower)} -> ${inputName(action.upper)}`;
    case 'passthrough':
      return `passthrough ${action.id}`;
  }
}

function changeName(change: FileAction['change']): string {
  switch (change.kind) {
    case 'copy':
      return `copy ${change.src} ${change.dest}`;
    case 'mkfile':
    case 'mkdir':
    case 'rm':
      return `${change.kind} ${change.path}`;
    case 'symlink':
      return `symlink ${change.newPath} -> ${change.oldPath}`;
  }
}
