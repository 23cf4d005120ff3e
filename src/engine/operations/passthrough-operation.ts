import { canonicalDigest } from '../../base/text/canonical.ts';
import type { PassthroughOp } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';

/** Some of its inputs as they are, once all of them are there: how a tree comes to require work whose files it does not have. */
export class PassthroughOperation implements BuildOperation {
  readonly bypassesSlots = true;
  readonly #op: PassthroughOp;
  readonly #contentOnly: readonly boolean[];

  constructor(op: PassthroughOp, contentOnly: readonly boolean[]) {
    this.#op = op;
    this.#contentOnly = contentOnly;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    const { id, outputs } = this.#op;
    return {
      digest: canonicalDigest('passthrough', { id, outputs }),
      inputs: this.#contentOnly.map((contentOnly) => ({ contentOnly })),
    };
  }

  async execute(
    _context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    return this.#op.outputs.map((index) => inputs[index]!.clone());
  }
}
