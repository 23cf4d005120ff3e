import path from 'node:path/posix';
import { canonicalDigest, type Plain } from '../../base/text/canonical.ts';
import type { ContentSelection } from '../../content-hash/checksum.ts';
import type { PreparedAction } from '../../file-op/file-op.ts';
import type { OpVertex } from '../../llb/graph.ts';
import {
  type FileAction,
  type FileChange,
  type FileCopy,
  type FileOp,
  noIndex,
  type Owner,
} from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';
import { cacheInputs } from './cache-inputs.ts';
import { FileTrees } from './file-trees.ts';
import type { InputFiles } from './input-files.ts';
import type { OperationServices } from './operation-services.ts';
import { vertexDescription } from './vertex-description.ts';

/** Runs the actions of a file op. An input that is only copied from counts by the content that the copies select. */
export class FileOperation implements BuildOperation {
  readonly #op: FileOp;
  readonly #vertex: OpVertex;
  readonly #inputs: readonly InputFiles[];
  readonly #services: OperationServices;

  constructor(op: FileOp, vertex: OpVertex, inputs: readonly InputFiles[], services: OperationServices) {
    this.#op = op;
    this.#vertex = vertex;
    this.#inputs = inputs;
    this.#services = services;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    const selections = fileSelections(this.#op, this.#inputs.length);
    return {
      digest: canonicalDigest('file', this.#op.actions.map(actionIdentity)),
      inputs: cacheInputs(this.#services.checksums, this.#inputs, selections),
    };
  }

  async execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const trees = new FileTrees(this.#services, inputs, vertexDescription(this.#vertex), context);
    try {
      const lastUse = lastUses(this.#op.actions);
      const outputs: ImmutableRef[] = [];
      for (const [position, action] of this.#op.actions.entries()) {
        const result = inputs.length + position;
        const alsoRead = [action.secondaryInput, ...ownerInputs(action.change)].includes(action.input);
        const inPlace =
          !alsoRead &&
          lastUse.get(action.input) === position &&
          !isOutput(this.#op.actions, action.input, inputs.length);
        const target = await trees.writable(action.input, result, inPlace);
        const owners: Record<number, { readonly path: string }> = {};
        for (const input of ownerInputs(action.change)) owners[input] = await trees.readable(input);
        const prepared: PreparedAction = {
          target,
          source: action.change.kind === 'copy' ? await trees.readable(action.secondaryInput) : undefined,
          change: action.change,
          owners,
        };
        trees.queue(result, prepared);
      }
      for (const [position, action] of this.#op.actions.entries()) {
        if (action.output !== noIndex) outputs[action.output] = await trees.finish(inputs.length + position);
      }
      return outputs;
    } finally {
      await trees[Symbol.asyncDispose]();
    }
  }
}

/** What is read of each input; undefined for those that count as a whole. */
export function fileSelections(
  { actions }: FileOp,
  inputs: number,
): readonly (readonly ContentSelection[] | undefined)[] {
  const uses = Array.from({ length: inputs }, () => ({ whole: false, selections: [] as ContentSelection[] }));
  for (const { input, secondaryInput, change } of actions) {
    const base = uses[input];
    if (base) base.whole = true;
    if (change.kind === 'copy') {
      // What has to be there is looked at even where no pattern would miss it.
      const required = change.requiredPaths.map(fileSelection);
      uses[secondaryInput]?.selections.push(copySelection(change), ...required);
    }
    for (const owner of ownerInputs(change))
      uses[owner]?.selections.push(fileSelection('/etc/passwd'), fileSelection('/etc/group'));
  }
  return uses.map(({ whole, selections }) => (whole || selections.length === 0 ? undefined : selections));
}

function copySelection(copy: FileCopy): ContentSelection {
  return {
    path: path.join('/', copy.src),
    wildcard: copy.allowWildcard,
    followLinks: copy.followSymlink,
    includePatterns: copy.includePatterns,
    excludePatterns: copy.excludePatterns,
  };
}

function fileSelection(file: string): ContentSelection {
  return { path: file, wildcard: true, followLinks: true, includePatterns: [], excludePatterns: [] };
}

/** An action as it counts in the key: where a copy's source lies is the selection's business, what it is called is not. */
export function actionIdentity({ input, secondaryInput, output, change }: FileAction): Plain {
  const identity = change.kind === 'copy' ? { ...change, src: path.basename(change.src) } : change;
  return { input, secondaryInput, output, change: identity as unknown as Plain };
}

function ownerInputs(change: FileChange): readonly number[] {
  if (change.kind === 'rm') return [];
  const named = (owner: Owner | undefined) =>
    [owner?.user, owner?.group].flatMap((id) =>
      id?.kind === 'name' && id.input !== noIndex ? [id.input] : [],
    );
  return [...new Set(named(change.owner))];
}

/** The position of the last action that uses each tree. */
function lastUses(actions: readonly FileAction[]): ReadonlyMap<number, number> {
  const last = new Map<number, number>();
  for (const [position, action] of actions.entries()) {
    for (const tree of [action.input, action.secondaryInput, ...ownerInputs(action.change)])
      last.set(tree, position);
  }
  return last;
}

function isOutput(actions: readonly FileAction[], tree: number, inputs: number): boolean {
  const producer = actions[tree - inputs];
  return producer !== undefined && producer.output !== noIndex;
}
