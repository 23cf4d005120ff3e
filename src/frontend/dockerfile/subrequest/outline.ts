import type { Range } from '../../../base/errors.ts';
import type { MountParameter, StageParameters } from '../to-llb/emit/stage-parameters.ts';
import type { DeclaredArg } from '../to-llb/plan/global-args.ts';
import type { TreeNode } from '../to-llb/plan/stage-graph.ts';
import type { Answer } from './answer.ts';
import { outlineAnswer } from './outline-answer.ts';

/** A converted file, as far as its parameters go. */
export interface OutlineInput {
  readonly target: TreeNode;
  readonly data: Uint8Array;
  /** Those before the first `FROM`, by name. */
  readonly globalArgs: ReadonlyMap<string, DeclaredArg>;
  /** Undefined for trees that are not stages. */
  readonly parametersOf: (node: TreeNode) => StageParameters | undefined;
}

/** The parameters of a target: arguments, secrets and agents that it and the stages it needs use. */
export function outline({ target, data, globalArgs, parametersOf }: OutlineInput): Answer {
  const stages = [...stagesOf(target)].flatMap((node) => parametersOf(node) ?? []);
  const args = inOrder(argsOf(stages, globalArgs));
  const secrets = inOrder(firstOf(stages.flatMap((stage) => stage.secrets)));
  const agents = inOrder(firstOf(stages.flatMap((stage) => stage.agents)));
  const from = target.stage?.from;
  return outlineAnswer({
    name: from?.name || undefined,
    description: from?.description || undefined,
    args,
    secrets,
    agents,
    data,
  });
}

/** A stage, then those that it is based on and reads, nearest first. */
function stagesOf(target: TreeNode): ReadonlySet<TreeNode> {
  const found = new Set<TreeNode>([target]);
  for (const { base, commands } of found) {
    if (base) found.add(base);
    for (const { sources } of commands) for (const source of sources) if (source) found.add(source);
  }
  return found;
}

/** Arguments that stages declare or use in their `FROM`, and those that the defaults of these use. */
function argsOf(
  stages: readonly StageParameters[],
  globalArgs: ReadonlyMap<string, DeclaredArg>,
): readonly DeclaredArg[] {
  const found = new Map<string, DeclaredArg>();
  for (const stage of stages) {
    const used = new Set(stage.used);
    for (const name of used) {
      const arg = stage.args.get(name) ?? globalArgs.get(name);
      if (!arg) continue;
      for (const other of arg.uses) used.add(other);
      if (!found.has(name)) found.set(name, arg);
    }
  }
  return [...found.values()];
}

function firstOf(parameters: readonly MountParameter[]): readonly MountParameter[] {
  const found = new Map<string, MountParameter>();
  for (const parameter of parameters) if (!found.has(parameter.name)) found.set(parameter.name, parameter);
  return [...found.values()];
}

function inOrder<T extends { readonly range: Range }>(all: readonly T[]): readonly T[] {
  return all.toSorted((a, b) => a.range.start.line - b.range.start.line);
}
