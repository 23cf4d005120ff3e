import type { ImmutableRef } from '../../ref/ref.ts';
import type { Operation } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';

/** The operation of an LLB vertex. Its results are handles to file trees. */
export type BuildOperation = Operation<ImmutableRef, JobContext>;
