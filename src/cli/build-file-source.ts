import { LLBBridge } from '../api/gen/gateway_pb.js';
import type { Connection } from '../client/connection.ts';
import type { SolveRequest } from '../client/solve-request.ts';
import { unaryCalls } from '../client/unary-calls.ts';
import { driveBuild } from '../library/drive-build.ts';
import { workersOf } from '../library/list-workers.ts';
import { createBuildFileFrontend } from '../typescript-build/build-file-frontend.ts';

export interface BuildFileSource {
  readonly source: SolveRequest['source'] & { readonly kind: 'driven' };
  /** What the file's answer to a question is, once the build is over. */
  readonly answer: () => ReadonlyMap<string, Uint8Array>;
}

/** A build that is driven from here, by a file whose exports are its targets. `onOutput` is told what the file prints. */
export async function buildFileSource(
  connection: Connection,
  file: string,
  options: Readonly<Record<string, string>>,
  onOutput: (text: string) => void,
): Promise<BuildFileSource> {
  const frontend = createBuildFileFrontend({ file, onOutput });
  const workers = await workersOf(connection.transport);
  const calls = unaryCalls(LLBBridge, connection.transport);
  let answer: ReadonlyMap<string, Uint8Array> = new Map();
  return {
    answer: () => answer,
    source: {
      kind: 'driven',
      options,
      drive: (build) =>
        driveBuild(
          calls,
          workers,
          {
            async solve(...args) {
              const result = await frontend.solve(...args);
              answer = result.metadata;
              return result;
            },
          },
          { options: build.options, inputs: new Map() },
          build,
        ),
    },
  };
}
