import type { SolveStatus } from '../../client/solve-status.ts';

export const progressModes = ['auto', 'tty', 'plain', 'rawjson', 'quiet'] as const;
export type ProgressMode = (typeof progressModes)[number];

/** Shows the progress of one build. Its owner disposes it when the build is over, however it ended: that leaves a usable terminal. */
export interface Display extends Disposable {
  update(status: SolveStatus): void;
  /** Shows a message to the user. */
  notice(text: string): void;
  /** Shows what is still pending and, except in `rawjson`, the logs of steps that failed. Nothing may follow but disposal. */
  finish(): void;
}

/** What a display writes to. */
export interface Output {
  write(text: string): unknown;
}
