import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { Debug } from '../../api/gen/kiln_debug_pb.js';
import type { Solver } from '../../solver/solver.ts';
import type { BuildRegistry } from '../builds/build-registry.ts';
import type { EventLoopWatch } from '../upkeep/event-loop-watch.ts';

export interface DebugServices {
  readonly solver: Pick<Solver<unknown, unknown>, 'inspect'>;
  readonly builds: BuildRegistry;
  readonly eventLoop: EventLoopWatch;
}

/** Kiln's own API for looking inside. Garbage is collected on demand only with Node's `--expose-gc`. */
export function debugService({ solver, builds, eventLoop }: DebugServices): ServiceImpl<typeof Debug> {
  return {
    async solver() {
      return {
        builds: builds.active.map(({ id, startedAt }) => ({
          ref: id,
          startedAt: timestampFromDate(startedAt),
        })),
        vertices: solver.inspect().map(({ digest, name, jobs, state, waitsFor }) => ({
          digest,
          name,
          builds: [...jobs],
          state,
          waitsFor: [...waitsFor],
        })),
      };
    },

    async process({ collectGarbage }) {
      const { duration, work } = eventLoop.take();
      if (collectGarbage) {
        globalThis.gc?.();
        eventLoop.take();
      }
      const { heapUsed, rss } = process.memoryUsage();
      return {
        heapUsedBytes: BigInt(heapUsed),
        residentBytes: BigInt(rss),
        maxEventLoopDelayMs: duration,
        maxEventLoopWorkMs: work,
      };
    },
  };
}
