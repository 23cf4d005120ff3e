import { KilnError } from '../../../../base/errors.ts';
import { type Definition, fromDefinition, type State } from '../../../../llb/llb.ts';

/** The tree that a client gave as an input. Throws `invalid_argument` for a definition of nothing, which BuildKit does not take either. */
export function inputTree(definition: Definition): State {
  if (definition.ops.length > 0) return fromDefinition(definition);
  throw new KilnError('invalid_argument', 'invalid nil input definition to definition op', {
    hint: 'give the definition of a tree with something in it',
  });
}
