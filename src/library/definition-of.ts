import type { OpGraph } from '../llb/graph.ts';
import { type State, toDefinition, toGraph } from '../llb/llb.ts';
import type { Definition } from '../llb/op.ts';
import { unmarshalDefinition } from '../llb/wire/unmarshal-definition.ts';

function isDefinition(source: State | Definition): source is Definition {
  return 'ops' in source;
}

/** Either form of a graph as a definition. */
export function definitionOf(source: State | Definition): Definition {
  return isDefinition(source) ? source : toDefinition(source);
}

/** Either form of a graph as typed ops. Throws `invalid_argument` for a definition that is none. */
export function graphOf(source: State | Definition): OpGraph {
  return isDefinition(source) ? unmarshalDefinition(source) : toGraph(source);
}

export function definitionsOf(
  inputs: Readonly<Record<string, State | Definition>> = {},
): ReadonlyMap<string, Definition> {
  return new Map(Object.entries(inputs).map(([name, input]) => [name, definitionOf(input)]));
}
