import { canonicalDigest, type Plain } from '../../base/text/canonical.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { type DiffOp, type MergeOp, noIndex } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';
import type { OperationServices } from './operation-services.ts';
import { vertexDescription } from './vertex-description.ts';

/** Inputs on top of each other, first at the bottom. */
export class MergeOperation implements BuildOperation {
  readonly bypassesSlots = true;
  readonly #op: MergeOp;
  readonly #description: string;
  readonly #contentOnly: readonly boolean[];
  readonly #services: OperationServices;

  constructor(op: MergeOp, vertex: OpVertex, contentOnly: readonly boolean[], services: OperationServices) {
    this.#op = op;
    this.#description = vertexDescription(vertex);
    this.#contentOnly = contentOnly;
    this.#services = services;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    return definitionMap('merge', { inputs: this.#op.inputs }, this.#contentOnly);
  }

  async execute(
    _context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const layers = this.#op.inputs.flatMap((index) => (index === noIndex ? [] : [inputs[index]!]));
    return [await this.#services.refStore.merge(layers, { description: this.#description })];
  }
}

/** What `upper` changed against `lower`. */
export class DiffOperation implements BuildOperation {
  readonly bypassesSlots = true;
  readonly #op: DiffOp;
  readonly #description: string;
  readonly #contentOnly: readonly boolean[];
  readonly #services: OperationServices;

  constructor(op: DiffOp, vertex: OpVertex, contentOnly: readonly boolean[], services: OperationServices) {
    this.#op = op;
    this.#description = vertexDescription(vertex);
    this.#contentOnly = contentOnly;
    this.#services = services;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    return definitionMap('diff', { lower: this.#op.lower, upper: this.#op.upper }, this.#contentOnly);
  }

  async execute(
    _context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const at = (index: number) => (index === noIndex ? undefined : inputs[index]);
    const { lower, upper } = this.#op;
    return [await this.#services.refStore.diff(at(lower), at(upper), { description: this.#description })];
  }
}

function definitionMap(
  kind: string,
  value: Plain,
  contentOnly: readonly boolean[],
): CacheMap<ImmutableRef, JobContext> {
  return {
    digest: canonicalDigest(kind, value),
    inputs: contentOnly.map((only) => ({ contentOnly: only })),
  };
}
