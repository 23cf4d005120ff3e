import type { State } from '../../../../llb/llb.ts';
import type { PathSet } from '../plan/conversion-context.ts';
import type { TreeNode } from '../plan/stage-graph.ts';

/** The finished tree of a node and the paths that are read of it; undefined when the node comes later in the file. */
export type TreeState = (node: TreeNode) => { readonly tree: State; readonly paths: PathSet } | undefined;
