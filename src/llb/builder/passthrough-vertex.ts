import { KilnError } from '../../base/errors.ts';
import type { Op } from '../op.ts';
import { capabilities } from '../vertex-capabilities.ts';
import { type Output, opVertex, type Vertex, type VertexOptions } from './vertex.ts';

/** The vertex that gives on some of its inputs once it has all of them. `outputs` are places in `inputs`. Throws `invalid_argument`. */
export function passthroughVertex(
  id: string,
  inputs: readonly Output[],
  outputs: readonly number[],
  options: VertexOptions,
): Vertex {
  if (id === '') throw new KilnError('invalid_argument', 'a passthrough needs an id');
  if (outputs.length === 0) {
    throw new KilnError(
      'invalid_argument',
      `the passthrough ${JSON.stringify(id)} needs an input that it gives on`,
    );
  }
  return opVertex(inputs, options, [capabilities.passthrough], (names): Op => {
    const named = inputs.map((input) => names.input(input)).filter((input) => input !== undefined);
    return {
      inputs: named,
      constraints: options.constraints ?? [],
      action: { kind: 'passthrough', id, outputs },
    };
  });
}
