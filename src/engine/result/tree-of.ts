import { KilnError } from '../../base/errors.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { EdgeRef } from './edge-ref.ts';
import { KeptTree } from './kept-tree.ts';

/** The tree of a result of this engine, or one that it keeps. It belongs to the result, and lives as long. */
export async function treeOf(ref: SolvedRef, signal: AbortSignal): Promise<ImmutableRef> {
  if (ref instanceof KeptTree) return ref.tree;
  if (ref instanceof EdgeRef) return await ref.result(signal);
  throw new KilnError('internal', `result ${ref.id} is not one of this engine`);
}
