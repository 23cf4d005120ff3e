/** An edit of the project, and what the next build makes of it. */
export interface Edit {
  readonly name: string;
  /** Changes the files in `context`. */
  readonly change?: (context: string) => void;
  /** Flags of the build. */
  readonly args?: readonly string[];
  /** Uses a base image of other content. */
  readonly newBase?: boolean;
  /** Empties the cache before. */
  readonly pruned?: boolean;
  /**
   * What ran (`stage: instruction`), and why. All other steps were cached. BuildKit (v0.32.2) was seen to run the same
   * steps after every one of these edits; `print-edits.ts` shows what a daemon does.
   */
  readonly ran: Readonly<Record<string, string>>;
}
