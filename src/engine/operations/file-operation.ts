import { compareUtf8 } from '../../base/text/compare-utf8.ts';
import { pathSelection } from '../../content-hash/path-selection.ts';
import type { PreparedAction } from '../../file-op/file-op.ts';
import { fileCacheDigest, goBase, namedInputs } from '../../llb/cache-digest/file-cache-digest.ts';
import { cleanPath } from '../../llb/clean-path.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { type FileAction, type FileCopy, type FileOp, noIndex } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import { tellFailure } from '../result/tell-failure.ts';
import type { BuildOperation } from './build-operation.ts';
import { cacheInputs } from './cache-inputs.ts';
import { FileTrees } from './file-trees.ts';
import type { InputFiles } from './input-files.ts';
import {
  contentReading,
  type InputReading,
  type InputUse,
  pathSelector,
  wholeInput,
} from './input-reading.ts';
import type { OperationServices } from './operation-services.ts';
import { vertexDescription } from './vertex-description.ts';
import { withReadFailures } from './with-read-failures.ts';

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
    const inputs = this.#inputs.length;
    return {
      digest: fileCacheDigest(this.#op, inputs),
      inputs: cacheInputs(
        this.#services.checksums,
        this.#inputs,
        fileReadings(this.#op, inputs),
        this.#vertex,
      ),
    };
  }

  execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    return withReadFailures(inputs, context.signal, () => this.#execute(context, inputs));
  }

  async #execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const trees = new FileTrees(this.#services, inputs, vertexDescription(this.#vertex), context);
    try {
      const lastUse = lastUses(this.#op.actions);
      const outputs: ImmutableRef[] = [];
      for (const [position, action] of this.#op.actions.entries()) {
        const result = inputs.length + position;
        const alsoRead = [action.secondaryInput, ...namedInputs(action.change)].includes(action.input);
        const inPlace =
          !alsoRead &&
          lastUse.get(action.input) === position &&
          !isOutput(this.#op.actions, action.input, inputs.length);
        const target = await trees.writable(action.input, result, inPlace);
        const owners: Record<number, { readonly path: string }> = {};
        for (const input of namedInputs(action.change)) owners[input] = await trees.readable(input);
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
    } catch (error) {
      await this.#tellFailure(trees, inputs, context);
      throw error;
    } finally {
      await trees[Symbol.asyncDispose]();
    }
  }

  async #tellFailure(
    trees: FileTrees,
    inputs: readonly ImmutableRef[],
    context: OperationContext<JobContext>,
  ): Promise<void> {
    const { failed } = trees;
    if (failed === undefined) return;
    await tellFailure(this.#vertex, context, async () => {
      const index = failed - inputs.length;
      const mounts: (ImmutableRef | undefined)[] = this.#op.actions.map(() => undefined);
      mounts[index] = await trees.commitFailed(failed);
      const secondary = this.#op.actions[index]!.secondaryInput;
      if (secondary >= inputs.length) {
        mounts[secondary - inputs.length] ??= await trees.commitFailed(secondary);
      }
      return { kept: { inputs, mounts, subject: { kind: 'file', index } }, made: mounts };
    });
  }
}

/** What the actions read of each input. One that an action works on counts as a whole, by its definition. */
export function fileReadings({ actions }: FileOp, inputs: number): readonly InputReading[] {
  const all = Array.from({ length: inputs }, () => ({ whole: false, uses: [] as PathUse[] }));
  for (const { input, secondaryInput, change } of actions) {
    const base = all[input];
    if (base) base.whole = true;
    if (change.kind !== 'symlink' && change.kind !== 'rm') {
      const { user, group } = change.owner ?? {};
      if (user?.kind === 'name') all[user.input]?.uses.push(namesUse('/etc/passwd'));
      if (group?.kind === 'name') all[group.input]?.uses.push(namesUse('/etc/group'));
    }
    if (change.kind === 'copy') all[secondaryInput]?.uses.push(copyUse(change));
  }
  return all.map(({ whole, uses }) => {
    if (whole || uses.length === 0) return wholeInput;
    const paths = uses.map(({ written }) => written).sort((a, b) => compareUtf8(b, a));
    return { selector: pathSelector(uses, paths.join('\0')), content: contentReading(uses) };
  });
}

interface PathUse extends InputUse {
  /** The path as the op has it. */
  readonly written: string;
}

function copyUse(copy: FileCopy): PathUse {
  return {
    written: copy.src,
    name: goBase(copy.src),
    selection: {
      path: cleanPath(`/${copy.src}`),
      wildcard: copy.allowWildcard,
      followLinks: copy.followSymlink,
      includePatterns: copy.includePatterns,
      excludePatterns: copy.excludePatterns,
      requiredPaths: copy.requiredPaths,
      rootCounts: true,
    },
  };
}

function namesUse(file: string): PathUse {
  return { written: file, name: file, selection: pathSelection(file) };
}

/** The position of the last action that uses each tree. */
function lastUses(actions: readonly FileAction[]): ReadonlyMap<number, number> {
  const last = new Map<number, number>();
  for (const [position, action] of actions.entries()) {
    for (const tree of [action.input, action.secondaryInput, ...namedInputs(action.change)])
      last.set(tree, position);
  }
  return last;
}

function isOutput(actions: readonly FileAction[], tree: number, inputs: number): boolean {
  const producer = actions[tree - inputs];
  return producer !== undefined && producer.output !== noIndex;
}
