import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { SourceInstance } from '../../source/source.ts';
import { type JobContext, sourceContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';
import type { OperationServices } from './operation-services.ts';

const separator = '://';

export function schemeOf({ identifier }: SourceOp): string {
  return identifier.split(separator, 1)[0]!;
}

export class SourceOperation implements BuildOperation {
  readonly bypassesSlots = true;
  readonly #identifier: string;
  readonly #instance: SourceInstance;
  #pin: string | undefined;

  constructor(op: SourceOp, platform: Platform, services: OperationServices) {
    const source = services.sources.get(schemeOf(op));
    if (!source) {
      throw new KilnError('unimplemented', `no source for ${JSON.stringify(op.identifier)}`, {
        hint: `this daemon knows ${[...services.sources.keys()].map((known) => `${known}${separator}`).join(', ')}`,
      });
    }
    this.#identifier = op.identifier;
    this.#instance = source.open(op, platform);
  }

  /** What the identifier was resolved to; undefined before it was, and for sources without a name for that. */
  get pin(): string | undefined {
    return this.#pin;
  }

  async cacheMap(context: OperationContext<JobContext>): Promise<CacheMap<ImmutableRef, JobContext>> {
    using _ = context.waitsFor(`what ${this.#identifier} is now`);
    const { digest, alternatives, pin } = await this.#instance.key(sourceContext(context));
    this.#pin = pin;
    return { digest, alternatives, inputs: [] };
  }

  async execute(context: OperationContext<JobContext>): Promise<readonly ImmutableRef[]> {
    using _ = context.waitsFor(`the files of ${this.#identifier}`);
    return [await this.#instance.snapshot(sourceContext(context))];
  }
}
