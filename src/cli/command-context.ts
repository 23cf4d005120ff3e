import type { EngineChoice } from './options/global-options.ts';

/** What a command works with, besides its own flags. */
export interface CommandContext {
  readonly engine: EngineChoice;
  readonly debug: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Aborts when the user wants to stop. */
  readonly signal: AbortSignal;
  /** Has the user's signals come to `take` instead of aborting `signal`, until what is returned is disposed of. */
  takeSignals(take: (name: NodeJS.Signals) => void): Disposable;
}
