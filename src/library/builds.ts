import { randomBytes } from 'node:crypto';
import type { SolveStatus } from '../client/solve-status.ts';
import type { BuildOptions } from './build-options.ts';
import type { Client } from './client.ts';
import { connectionOf } from './daemon-client.ts';
import type { Drive, LocalFrontend, Source } from './gateway.ts';

/** What the exporters and remote caches tell about the result, for example `containerimage.digest`. */
export interface BuildResult {
  readonly response: Readonly<Record<string, string>>;
}

/** A build that goes on. */
export interface Build {
  /** Identifies the build at the daemon. */
  readonly ref: string;
  /**
   * What happens, from the moment that iteration begins until the end; can be iterated once. Goes on after a cancellation, as long as the
   * daemon tells how the build winds down.
   */
  readonly progress: AsyncIterable<SolveStatus>;
  /** Rejects with a `KilnError` that says what made the build fail: its `details` say where that was written, if anything does. */
  readonly result: Promise<BuildResult>;
}

/**
 * Starts a build: of a graph, of what a frontend makes of its options, or of what a function here makes by asking the daemon (Go's
 * `Client.Build`). Aborting the option `signal` cancels it at the daemon.
 *
 * @example
 * ```ts
 * import { build, connect } from 'kiln';
 * import { files, scratch } from 'kiln/llb';
 *
 * await using client = await connect();
 * const building = build(client, async (gateway) => {
 *   const notes = await gateway.solve(scratch().file(files().mkfile('/version', 0o644, '1.2')));
 *   const version = await notes.refs.get('')?.readFile('/version');
 *   const name = `/app-${Buffer.from(version ?? []).toString()}`;
 *   return await gateway.solve(scratch().file(files().mkdir(name, 0o755)));
 * });
 * for await (const { vertexes } of building.progress) {
 *   for (const { name, started, completed } of vertexes) if (started && !completed) console.log(name);
 * }
 * await building.result;
 * ```
 */
export function build(
  client: Client,
  source: Source | Drive | LocalFrontend,
  options: BuildOptions = {},
): Build {
  const connection = connectionOf(client);
  const ref = options.ref ?? randomBytes(16).toString('hex');
  const started = (async () => {
    const [{ solve: start }, { solveRequest }] = await Promise.all([
      import('../client/solve.ts'),
      import('./solve-request-of.ts'),
    ]);
    return start(connection, await solveRequest(connection, source, { ...options, ref }), options.signal);
  })();
  const result = (async () => ({ response: (await (await started).result).response }))();
  // Whoever only looks at the progress must not end the process by it.
  result.catch(() => {});
  return { ref, progress: progressOf(started), result };
}

async function* progressOf(
  started: Promise<{ readonly progress: AsyncIterable<SolveStatus> }>,
): AsyncGenerator<SolveStatus> {
  // A build that could not start has no progress; why is the result's to tell.
  const solving = await started.catch(() => undefined);
  if (solving) yield* solving.progress;
}

/**
 * Builds, and waits for the end: `build` for those who do not watch. Throws the `KilnError` that says what made the build fail.
 *
 * @example
 * ```ts
 * import { mkdtempSync, readFileSync } from 'node:fs';
 * import { connect, solve } from 'kiln';
 * import { files, scratch } from 'kiln/llb';
 *
 * await using client = await connect();
 * const dest = mkdtempSync('/tmp/made-');
 * const state = scratch().file(files().mkfile('/hello', 0o644, 'world'));
 * await solve(client, state, { outputs: [{ type: 'local', dest }] });
 * assert.equal(readFileSync(`${dest}/hello`, 'utf8'), 'world');
 * ```
 */
export async function solve(
  client: Client,
  source: Source | Drive | LocalFrontend,
  options: BuildOptions = {},
): Promise<BuildResult> {
  return await build(client, source, options).result;
}
