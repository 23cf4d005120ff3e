import type { ImmutableRef, RefId } from '../../ref/ref.ts';
import type { RefLookup } from '../../ref/ref-store.ts';
import type { ResultStore, ResultTraits } from '../../solver/solver.ts';

export const refTraits: ResultTraits<ImmutableRef> = {
  clone: (ref) => ref.clone(),
  release: (ref) => ref.release(),
  idOf: (ref) => ref.id,
};

export function refResults(refStore: RefLookup): ResultStore<ImmutableRef> {
  return { load: (id) => refStore.get(id as RefId) };
}
