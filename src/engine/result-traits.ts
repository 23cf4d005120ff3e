import type { ImmutableRef, RefId, RefStore } from '../ref/ref.ts';
import type { ResultStore, ResultTraits } from '../solver/solver.ts';

export const refTraits: ResultTraits<ImmutableRef> = {
  clone: (ref) => ref.clone(),
  release: (ref) => ref.release(),
  idOf: (ref) => ref.id,
};

export function refResults(refStore: RefStore): ResultStore<ImmutableRef> {
  return { load: (id) => refStore.get(id as RefId) };
}
