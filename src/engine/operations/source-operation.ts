import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { Op, SourceOp } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { SourceInstance } from '../../source/source.ts';
import { type JobContext, sourceContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';
import type { NearestPath } from './content-input.ts';
import type { OperationServices } from './operation-services.ts';

const separator = '://';

/** What is known of an input by the vertex that it comes from. */
export interface InputFiles {
  /** The vertex names files by something that says nothing about them: consumers have to look at content. */
  readonly contentOnly: boolean;
  readonly nearestPath: NearestPath | undefined;
}

export function inputFiles(op: Op, services: OperationServices): InputFiles {
  const { action } = op;
  const source = action.kind === 'source' ? services.sources.get(schemeOf(action)) : undefined;
  return {
    contentOnly: source?.contentOnly === true,
    nearestPath:
      action.kind === 'source' && source
        ? async (path, context) =>
            source.open(action, op.platform ?? services.platform).nearestPath?.(path, sourceContext(context))
        : undefined,
  };
}

export function schemeOf({ identifier }: SourceOp): string {
  return identifier.split(separator, 1)[0]!;
}

export class SourceOperation implements BuildOperation {
  readonly bypassesSlots = true;
  readonly #identifier: string;
  readonly #instance: SourceInstance;

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

  async cacheMap(context: OperationContext<JobContext>): Promise<CacheMap<ImmutableRef, JobContext>> {
    using _ = context.waitsFor(`what ${this.#identifier} is now`);
    const { digest } = await this.#instance.key(sourceContext(context));
    return { digest, inputs: [] };
  }

  async execute(context: OperationContext<JobContext>): Promise<readonly ImmutableRef[]> {
    using _ = context.waitsFor(`the files of ${this.#identifier}`);
    return [await this.#instance.snapshot(sourceContext(context))];
  }
}
