import { KilnError } from '../base/errors.ts';
import type { FileChange } from '../llb/op.ts';

/** A directory of the host that shows a whole tree: a mounted view, or a plain directory. */
export interface FileTree {
  readonly path: string;
}

/** One action with everything it needs already visible at host paths. */
export interface PreparedAction {
  /** The root of the tree that is changed. */
  readonly target: string;
  /** For a copy: the root of the tree that is read. Never written, and never changed while the op runs. */
  readonly source?: FileTree;
  readonly change: FileChange;
  /** Trees in which owner names are looked up, by the `input` number of the owner. */
  readonly owners: Readonly<Record<number, FileTree>>;
}

/** A layer that is not mounted: `dir` its own directory, `lowerDirs` those below, topmost first. */
export interface UnmountedLayer {
  readonly dir: string;
  readonly lowerDirs: readonly string[];
  /** Where an image may be made that is the layer, while nothing is written to `dir`. */
  readonly image?: string;
}

/** The failure of one action. Those before it were applied. */
export class FailedAction extends KilnError {
  /** Its position among the actions that were to be applied. */
  readonly position: number;

  constructor({ code, message, hint, details, stack }: KilnError, position: number) {
    super(code, message, { hint, details });
    if (stack) this.stack = stack;
    this.position = position;
  }
}

/** Applies file actions in order, in a thread. Every path is resolved inside its root: links cannot lead out of it. Throws a `FailedAction`. */
export interface FileOps {
  /** All actions have the same target. */
  apply(actions: readonly PreparedAction[], signal: AbortSignal): Promise<void>;
  /**
   * The same to a layer, whose directory is the actions' target, without mounting it. Returns how many actions were
   * applied: the next one, if any, needs to see the tree through a mount.
   */
  applyToLayer(
    actions: readonly PreparedAction[],
    layer: UnmountedLayer,
    signal: AbortSignal,
  ): Promise<number>;
}
