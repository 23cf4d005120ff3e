import { buffer } from 'node:stream/consumers';
import { create, fromBinary } from '@bufbuild/protobuf';
import { type Definition, DefinitionSchema, OpMetadataSchema } from '../../api/gen/ops_pb.js';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';

/** Reads LLB: a marshalled `pb.Definition`. Throws `invalid_argument` for anything else, also for nothing. */
export async function readDefinition(stream: NodeJS.ReadableStream, what: string): Promise<Definition> {
  const data = await buffer(stream);
  let definition: Definition;
  try {
    definition = fromBinary(DefinitionSchema, data);
  } catch (cause) {
    throw new KilnError('invalid_argument', `${what} is not an LLB definition`, { cause });
  }
  if (definition.ops.length === 0) {
    throw new KilnError('invalid_argument', `${what} holds an empty LLB definition`, {
      hint: 'give the PATH of a context or --frontend to build from a Dockerfile',
    });
  }
  return definition;
}

/** The same definition, every op to run again. */
export function ignoringCache(definition: Definition): Definition {
  const metadata = { ...definition.metadata };
  for (const op of definition.ops) {
    const digest = digestOf(op);
    metadata[digest] = { ...(metadata[digest] ?? create(OpMetadataSchema)), ignoreCache: true };
  }
  return { ...definition, metadata };
}
