import type { Digest } from '../../base/digest.ts';
import {
  diffCacheDigest,
  mergeCacheDigest,
  passthroughCacheDigest,
} from '../../llb/cache-digest/tree-cache-digests.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { type DiffOp, type MergeOp, noIndex, type PassthroughOp } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';
import type { OperationServices } from './operation-services.ts';
import { vertexDescription } from './vertex-description.ts';

interface WholeTreeOptions {
  /** Of what decides the result besides the inputs. */
  readonly digest: Digest;
  /** Of each input: whether it is known by its content alone. */
  readonly contentOnly: readonly boolean[];
  readonly execute: (inputs: readonly ImmutableRef[]) => Promise<readonly ImmutableRef[]>;
}

/** An operation that takes its inputs as wholes and reads nothing of them. */
class WholeTreeOperation implements BuildOperation {
  readonly bypassesSlots = true;
  readonly #options: WholeTreeOptions;

  constructor(options: WholeTreeOptions) {
    this.#options = options;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    const { digest, contentOnly } = this.#options;
    return { digest, inputs: contentOnly.map((only) => ({ contentOnly: only })) };
  }

  execute(
    _context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    return this.#options.execute(inputs);
  }
}

/** Inputs on top of each other, the first at the bottom. */
export function mergeOperation(
  op: MergeOp,
  vertex: OpVertex,
  contentOnly: readonly boolean[],
  { refStore }: OperationServices,
): BuildOperation {
  return new WholeTreeOperation({
    digest: mergeCacheDigest(op),
    contentOnly,
    async execute(inputs) {
      const layers = op.inputs.flatMap((index) => (index === noIndex ? [] : [inputs[index]!]));
      return [await refStore.merge(layers, { description: vertexDescription(vertex) })];
    },
  });
}

/** What `upper` changed against `lower`. */
export function diffOperation(
  op: DiffOp,
  vertex: OpVertex,
  contentOnly: readonly boolean[],
  { refStore }: OperationServices,
): BuildOperation {
  return new WholeTreeOperation({
    digest: diffCacheDigest(op),
    contentOnly,
    async execute(inputs) {
      const at = (index: number) => (index === noIndex ? undefined : inputs[index]);
      return [await refStore.diff(at(op.lower), at(op.upper), { description: vertexDescription(vertex) })];
    },
  });
}

/** Some of its inputs as they are, once all of them are there: how a tree comes to require work whose files it does not have. */
export function passthroughOperation(op: PassthroughOp, contentOnly: readonly boolean[]): BuildOperation {
  return new WholeTreeOperation({
    digest: passthroughCacheDigest(op),
    contentOnly,
    execute: async (inputs) => op.outputs.map((index) => inputs[index]!.clone()),
  });
}
