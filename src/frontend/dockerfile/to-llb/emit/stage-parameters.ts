import type { Range } from '../../../../base/errors.ts';
import type { DeclaredArg } from '../plan/global-args.ts';

/** What a stage can be given when it is built: filled in while it is converted. */
export class StageParameters {
  /** Names of arguments that it declares, and of those that its `FROM` uses. */
  readonly used: Set<string>;
  /** The arguments that it declares itself: those that only repeat a global one are not among them. */
  readonly args = new Map<string, DeclaredArg>();
  readonly secrets: MountParameter[] = [];
  readonly agents: MountParameter[] = [];

  constructor(usedInFrom: ReadonlySet<string>) {
    this.used = new Set(usedInFrom);
  }
}

/** A secret or an ssh agent, by its id. */
export interface MountParameter {
  readonly name: string;
  readonly required: boolean;
  readonly range: Range;
}
