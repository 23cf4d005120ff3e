import type { Op } from '../../llb/op.ts';
import type { OperationContext } from '../../solver/solver.ts';
import { type JobContext, sourceContext } from '../job-context.ts';
import type { OperationServices } from './operation-services.ts';
import { schemeOf } from './source-operation.ts';

/** Finds out which path of a tree one that does not exist was probably meant to be; undefined when that cannot be told. */
export type NearestPath = (
  path: string,
  context: OperationContext<JobContext>,
) => Promise<string | undefined>;

/** What is known of an input by the vertex that it comes from. */
export interface InputFiles {
  /** The vertex names files by something that says nothing about them: consumers have to look at content. */
  readonly contentOnly: boolean;
  readonly nearestPath: NearestPath | undefined;
}

/** `op`: that of the input's vertex. */
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
