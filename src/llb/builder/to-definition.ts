import type { Definition } from '../op.ts';
import { marshalGraph } from '../wire/marshal-graph.ts';
import type { State } from './state.ts';
import { type GraphOptions, toGraph } from './to-graph.ts';

/** Marshals a tree and all that it is made of. The empty tree is a definition without ops. */
export function toDefinition(state: State, options: GraphOptions = {}): Definition {
  return marshalGraph(toGraph(state, options));
}
