import type { OpVertex } from '../../llb/graph.ts';
import { vertexName } from '../../llb/op-name.ts';

/** How a record in the cache is described: by what made it. */
export function vertexDescription({ op, metadata }: OpVertex): string {
  return vertexName(op, metadata, (input) => input);
}
