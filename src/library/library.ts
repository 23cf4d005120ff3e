/**
 * Kiln as a library, `kiln`: builds on a daemon, Kiln's or BuildKit's. Graphs are made with `kiln/llb`.
 *
 * @example
 * ```ts
 * import { connect, KilnError, solve } from 'kiln';
 *
 * await using client = await connect();
 * try {
 *   await solve(client, { frontend: 'dockerfile.v0' }, { locals: { context: '.', dockerfile: '.' } });
 * } catch (error) {
 *   if (!(error instanceof KilnError)) throw error;
 *   // Where it was written: the file, its text, and lines that count from 1.
 *   for (const detail of error.details) {
 *     if (detail.kind === 'source') console.error(detail.filename, detail.ranges[0]?.start.line);
 *   }
 *   console.error(error.code, error.message, error.hint ?? '');
 * }
 * ```
 */

export type { Digest } from '../base/digest.ts';
export { type ErrorCode, type ErrorDetail, KilnError, type Position, type Range } from '../base/errors.ts';
export { formatPlatform, type Platform, parsePlatform } from '../base/platform.ts';
export type {
  ExplanationUpdate,
  LogUpdate,
  MissCause,
  SolveStatus,
  StatusUpdate,
  VertexUpdate,
  WarningUpdate,
} from '../client/solve-status.ts';
export type { FileStat, FrontendResult, SolvedRef, WorkerInfo } from '../frontend/frontend.ts';
export type {
  Attributes,
  BuildCache,
  BuildOptions,
  BuildOutput,
  Secret,
  SshAgent,
} from './build-options.ts';
export { type Build, type BuildResult, build, solve } from './builds.ts';
export type { Client } from './client.ts';
export { type ConnectOptions, connect, type TlsOptions } from './connect-client.ts';
export type {
  Drive,
  FoundImage,
  FrontendSource,
  Gateway,
  ImageOptions,
  LocalFrontend,
  Source,
} from './gateway.ts';
export { type AnyMethod, unaryMethod } from './session-methods.ts';
export { diskUsage, listWorkers, prune } from './upkeep.ts';
export type { CallOptions, PruneOptions, UsageOptions, UsageRecord } from './usage-options.ts';
