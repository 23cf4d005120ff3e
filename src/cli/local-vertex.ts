import { randomUUID } from 'node:crypto';
import { deferred } from '../base/async/lifetime.ts';
import { digestOf } from '../base/digest.ts';
import { asKilnError } from '../base/errors.ts';
import type { ProgressWriter, StatusEvent } from '../base/progress.ts';
import type { SolveStatus, VertexUpdate } from '../client/solve-status.ts';

const nothing: SolveStatus = { vertexes: [], statuses: [], logs: [], warnings: [], explanations: [] };

/** Shows work of this process as a step of a build. Yields its progress, and throws what the work throws. */
export async function* localVertex(
  name: string,
  work: (progress: ProgressWriter) => Promise<void>,
): AsyncGenerator<SolveStatus> {
  const vertex: VertexUpdate = {
    digest: digestOf(randomUUID()),
    inputs: [],
    name,
    cached: false,
    started: new Date(),
  };
  const pending: SolveStatus[] = [];
  let turn = deferred<void>();
  const tell = (status: Partial<SolveStatus>) => {
    pending.push({ ...nothing, ...status });
    turn.resolve();
  };
  let ended = false;
  tell({ vertexes: [vertex] });
  const done = work({
    status: (event) => tell({ statuses: [statusOf(vertex, event)] }),
    log: (stream, data) => tell({ logs: [{ vertex: vertex.digest, stream, data, timestamp: new Date() }] }),
    warn: ({ level, short, detail = [], url }) =>
      tell({ warnings: [{ vertex: vertex.digest, level, short, detail, url, ranges: [] }] }),
  })
    .then(
      () => tell({ vertexes: [{ ...vertex, completed: new Date() }] }),
      (error: unknown) => {
        tell({ vertexes: [{ ...vertex, completed: new Date(), error: asKilnError(error).message }] });
        throw error;
      },
    )
    .finally(() => {
      ended = true;
      turn.resolve();
    });
  done.catch(() => {});
  while (!ended || pending.length > 0) {
    yield* pending.splice(0);
    if (ended) continue;
    turn = deferred();
    await turn.promise;
  }
  await done;
}

function statusOf(vertex: VertexUpdate, event: StatusEvent) {
  const { id, name, current = 0, total = 0, started, completed } = event;
  return { vertex: vertex.digest, id, name, current, total, started, completed, timestamp: new Date() };
}
