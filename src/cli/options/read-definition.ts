import { buffer } from 'node:stream/consumers';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { emptyMetadata } from '../../llb/graph.ts';
import type { Definition } from '../../llb/op.ts';
import { decodeDefinition } from '../../llb/wire/definition-wire.ts';

/** Reads LLB: a marshalled `pb.Definition`. Throws `invalid_argument` for anything else, also for nothing. */
export async function readDefinition(stream: NodeJS.ReadableStream, what: string): Promise<Definition> {
  const data = await buffer(stream);
  let definition: Definition;
  try {
    definition = decodeDefinition(data);
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
export function ignoringCache({ ops, metadata, source }: Definition): Definition {
  const ignoring = ops.map((op) => {
    const digest = digestOf(op);
    return [digest, { ...(metadata.get(digest) ?? emptyMetadata), ignoreCache: true }] as const;
  });
  return { ops, metadata: new Map(ignoring), source };
}
