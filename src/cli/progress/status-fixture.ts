import type { LogUpdate, SolveStatus, StatusUpdate, VertexUpdate } from '../../client/solve-status.ts';

/** For tests: times are milliseconds after this moment. */
export const epoch = Date.UTC(2026, 0, 1);

const at = (milliseconds: number | undefined) =>
  milliseconds === undefined ? undefined : new Date(epoch + milliseconds);

interface VertexOptions {
  readonly started?: number;
  readonly completed?: number;
  readonly cached?: boolean;
  readonly error?: string;
  readonly group?: VertexUpdate['group'];
}

export function vertex(name: string, options: VertexOptions = {}): SolveStatus {
  const { started, completed, cached = false, error, group } = options;
  const update = { digest: `digest of ${name}`, inputs: [], name, cached, error, group };
  return status({ vertexes: [{ ...update, started: at(started), completed: at(completed) }] });
}

export function log(name: string, text: string | Uint8Array, time: number, stream = 1): SolveStatus {
  const data = typeof text === 'string' ? Buffer.from(text) : text;
  const update: LogUpdate = { vertex: `digest of ${name}`, stream, data, timestamp: at(time)! };
  return status({ logs: [update] });
}

interface TransferOptions {
  readonly current?: number;
  readonly total?: number;
  readonly time: number;
  readonly started?: number;
  readonly completed?: number;
}

export function transfer(name: string, id: string, options: TransferOptions): SolveStatus {
  const update: StatusUpdate = {
    vertex: `digest of ${name}`,
    id,
    current: options.current ?? 0,
    total: options.total ?? 0,
    timestamp: at(options.time)!,
    started: at(options.started ?? 0),
    completed: at(options.completed),
  };
  return status({ statuses: [update] });
}

export function warning(name: string, short: string): SolveStatus {
  const update = { vertex: `digest of ${name}`, level: 1, short, detail: [], ranges: [] };
  return status({ warnings: [update] });
}

export function explanation(name: string, text: string): SolveStatus {
  return status({ explanations: [{ vertex: `digest of ${name}`, text }] });
}

export function status(parts: Partial<SolveStatus>): SolveStatus {
  return { vertexes: [], statuses: [], logs: [], warnings: [], explanations: [], ...parts };
}
