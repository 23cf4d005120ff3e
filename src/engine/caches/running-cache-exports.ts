import type { CacheMounts } from '../../cache-mounts/cache-mounts.ts';
import type { ExportInput } from '../../exporter/exporter.ts';
import type { CacheExportContext } from '../../remote-cache/export/cache-export.ts';
import type { BuiltResult } from '../../remote-cache/export/collect-records.ts';
import type { OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import { EdgeRef } from '../result/edge-ref.ts';
import type { PlatformRef } from '../result/result-platforms.ts';
import { type CacheExports, inlineCache } from './cache-exports.ts';
import { exportMounts } from './mount-exports.ts';

/** Shows work as a vertex of the build. */
export type ShowWork = <T>(
  name: string,
  work: (context: OperationContext<JobContext>) => Promise<T>,
) => Promise<T>;

/** The exports of what a build has as its result. */
export class RunningCacheExports {
  readonly #exports: CacheExports;
  readonly #platforms: readonly PlatformRef[];
  readonly #mounts: CacheMounts;

  constructor(exports: CacheExports, platforms: readonly PlatformRef[], mounts: CacheMounts) {
    this.#exports = exports;
    this.#mounts = mounts;
    this.#platforms = platforms;
  }

  /** Has images made of `input` carry caches, if that is wanted. */
  withInline(input: ExportInput): ExportInput {
    if (!this.#exports.inline) return input;
    const results = input.results.map((result, index) => ({
      ...result,
      inlineCache: async (signal: AbortSignal) => {
        const [built] = await this.#built(input, signal, [index]);
        return built && (await inlineCache(built, signal));
      },
    }));
    return { ...input, results };
  }

  /** Runs all exports, at the same time. Returns what the client is told. Throws the first failure that is not to be ignored. */
  async run(
    input: ExportInput,
    sessionId: string,
    show: ShowWork,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    const { exports } = this.#exports;
    if (exports.length === 0) return {};
    const built = await this.#built(input, signal);
    const runAll = <Each extends { readonly name: string; readonly ignoreError: boolean }>(
      all: readonly Each[],
      run: (each: Each, context: CacheExportContext) => Promise<Readonly<Record<string, string>>>,
    ) =>
      Promise.all(
        all.map(async (each) => {
          try {
            return await show(each.name, (context) =>
              run(each, {
                signal: AbortSignal.any([context.signal, signal]),
                progress: context.progress,
                sessionId,
              }),
            );
          } catch (error) {
            if (!each.ignoreError || signal.aborted) throw error;
            return {};
          }
        }),
      );
    const responses = await runAll(exports, (each, context) => each.run(built, context));
    // By now all steps have run that write to mounts.
    const mounts = await runAll(this.#exports.mounts, (each, { progress, signal: ended }) =>
      exportMounts(each, this.#mounts, progress, {
        signal: ended,
        sessions: sessionId === '' ? [] : [sessionId],
      }),
    );
    return Object.assign({}, ...responses, ...mounts);
  }

  /** The results that are trees of this engine, of all platforms or those at `positions`. */
  async #built(
    input: ExportInput,
    signal: AbortSignal,
    positions: readonly number[] = [...this.#platforms.keys()],
  ): Promise<readonly BuiltResult[]> {
    const built = positions.map(async (position): Promise<readonly BuiltResult[]> => {
      const { ref } = this.#platforms[position]!;
      if (!(ref instanceof EdgeRef)) return [];
      return [{ ref: input.results[position]!.ref, known: await ref.known(signal) }];
    });
    return (await Promise.all(built)).flat();
  }
}
