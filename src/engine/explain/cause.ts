/** Why a step ran although an earlier build had one like it: the first difference. `before` and `after` are for people. */
export type Cause =
  /** Caching is off for it. */
  | { readonly kind: 'no-cache' }
  /** Nothing differs: its record is gone. */
  | { readonly kind: 'pruned' }
  /** No earlier build had a step like it. */
  | { readonly kind: 'new' }
  | FileCause
  /** Files differ, but it is not known any more which. `from` as in `FileCause`. */
  | { readonly kind: 'files'; readonly from: string }
  | Changed<'command'>
  | Changed<'platform'>
  | Changed<'variable'>
  | Changed<'mount'>
  | Changed<'option'>
  /** The source resolves to something else: `before` and `after` are digests or whole names. */
  | Changed<'image'>
  /** What the source names (a branch, a URL) is something else now. */
  | { readonly kind: 'source'; readonly name: string }
  /** Its place changed: `before` and `after` are the steps that it builds on. */
  | Changed<'follows'>
  /** A step that it builds on ran again. `step` is where that began, and `cause` why. */
  | { readonly kind: 'parent'; readonly step: string; readonly cause?: RootCause };

export type RootCause = Exclude<Cause, { readonly kind: 'parent' }>;

/** `name`: of the variable, mount point, option or image. Without `before` it is new, without `after` it is gone. */
export interface Changed<Kind extends string> {
  readonly kind: Kind;
  readonly name: string;
  readonly before?: string;
  readonly after?: string;
}

/** A file that is copied or mounted. */
export interface FileCause {
  readonly kind: 'file';
  readonly path: string;
  readonly change:
    | 'added'
    | 'removed'
    | 'renamed'
    | 'content'
    | 'mode'
    | 'owner'
    | 'type'
    | 'target'
    | 'xattrs';
  /** Modes, owners, types, targets; the new path of what was renamed. */
  readonly before?: string;
  readonly after?: string;
  /** The stage or the context that it comes from. */
  readonly from: string;
  /** How many more files differ. */
  readonly more: number;
}

/** What is told of one vertex. */
export interface Explanation {
  readonly cause: Cause;
  /** The cause as one sentence without an end. */
  readonly text: string;
}

/** Where a cause began. */
export function rootOf(cause: Cause, step: string): Extract<Cause, { readonly kind: 'parent' }> {
  return cause.kind === 'parent' ? cause : { kind: 'parent', step, cause };
}
