import { KilnError } from '../../base/errors.ts';
import type { Op } from '../op.ts';
import { definitionFileAttribute, definitionInput, llbBuilder } from '../op.ts';
import { capabilities } from '../vertex-capabilities.ts';
import { type Output, opVertex, type Vertex, type VertexOptions } from './vertex.ts';

export interface BuildOptions extends VertexOptions {
  /** The file in the tree that holds the definition; `definitionInput` by default. */
  readonly filename?: string;
}

/** The vertex that solves the definition which a file of its input holds. Throws `invalid_argument`. */
export function buildVertex(from: Output | undefined, options: BuildOptions): Vertex {
  if (!from) {
    throw new KilnError(
      'invalid_argument',
      'a nested build needs a tree with a definition, not the empty one',
    );
  }
  return opVertex([from], options, [capabilities.buildFile], (names): Op => {
    const input = names.input(from);
    return {
      inputs: input ? [input] : [],
      platform: options.platform ?? names.platform,
      constraints: options.constraints ?? [],
      action: {
        kind: 'build',
        builder: llbBuilder,
        inputs: { [definitionInput]: 0 },
        attrs: options.filename ? { [definitionFileAttribute]: options.filename } : {},
      },
    };
  });
}
