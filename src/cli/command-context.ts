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
}
