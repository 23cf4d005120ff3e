import { create } from '@bufbuild/protobuf';
import { type Result, ResultSchema } from '../api/gen/gateway_pb.js';
import type { FrontendResult, SolvedRef } from '../frontend/frontend.ts';
import { encodeGraph } from '../llb/wire/marshal-graph.ts';
import { attestationsFromMessage, attestationsToMessage } from './attestation-message.ts';

/** A result as the other end of the gateway gets it. `idOf` names its trees. */
export async function resultToMessage(
  { refs, metadata, attestations }: FrontendResult,
  idOf: (ref: SolvedRef) => string,
): Promise<Result> {
  const message = async (ref: SolvedRef | undefined) => ({
    id: ref ? idOf(ref) : '',
    definition: ref?.graph && (await encodeGraph(ref.graph)),
  });
  const entries = await Promise.all([...refs].map(async ([key, ref]) => [key, await message(ref)] as const));
  const single = refs.size === 1 && refs.has('');
  return create(ResultSchema, {
    result: single
      ? { case: 'ref', value: entries[0]![1] }
      : {
          case: 'refs',
          value: { refs: Object.fromEntries(entries) },
        },
    metadata: Object.fromEntries(metadata),
    attestations: attestations && (await attestationsToMessage(attestations, message)),
  });
}

/** Finds the tree that the other end names. `definition`: what it is solved from, if the other end says so. */
export type TreeOfId = (id: string, definition?: Uint8Array) => SolvedRef;

/** Old peers send bare ids. An empty id is the empty tree. */
export function resultFromMessage(message: Result, treeOf: TreeOfId): FrontendResult {
  const known = ({ id, definition }: { readonly id: string; readonly definition?: Uint8Array }) =>
    id === '' ? undefined : treeOf(id, definition);
  const entries = (() => {
    const { result } = message;
    switch (result.case) {
      case 'ref':
        return [['', result.value] as const];
      case 'refs':
        return Object.entries(result.value.refs);
      case 'oldRef':
        return [['', { id: result.value }] as const];
      case 'oldRefs':
        return Object.entries(result.value.refs).map(([key, id]) => [key, { id }] as const);
      case undefined:
        return [['', { id: '' }] as const];
    }
  })();
  return {
    refs: new Map(entries.map(([key, ref]) => [key, known(ref)])),
    metadata: new Map(Object.entries(message.metadata)),
    attestations: attestationsFromMessage(message.attestations, treeOf),
  };
}
