import type { Instruction } from '../../parse/instruction-tree.ts';
import type { StageGraph, TreeNode } from './stage-graph.ts';

/** The name of a stage in displays; empty where there is only one stage. */
export function displayNameOf(graph: StageGraph, node: TreeNode): string {
  return graph.stages.length === 1 && !graph.readsOthers ? '' : node.name;
}

/** Whether the first step of the stage is to get an image. */
export function startsFromImage(node: TreeNode): boolean {
  return node.stage !== undefined && !node.base && node.baseName !== 'scratch';
}

/** Instructions that are steps in displays. */
const stepKinds: ReadonlySet<Instruction['kind']> = new Set(['add', 'copy', 'run', 'workdir']);

/** How many steps displays show for a stage. */
export function stepsOf(node: TreeNode): number {
  const own = node.commands.filter(({ instruction }) => stepKinds.has(instruction.kind)).length;
  return own + (startsFromImage(node) ? 1 : 0);
}
