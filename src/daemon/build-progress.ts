import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type StatusResponse,
  StatusResponseSchema,
  type Vertex,
  type VertexExplanation,
  type VertexLog,
  type VertexStatus,
  type VertexWarning,
} from '../api/gen/control_pb.js';
import type { Digest } from '../base/digest.ts';
import { deferred } from '../base/lifetime.ts';
import type { StatusEvent, VertexEvent, WarningEvent } from '../base/progress.ts';
import type { Explanation } from '../engine/explain/cause.ts';
import type { BuildEvents } from '../engine/explain/explainer.ts';
import { causeMessage } from './cause-message.ts';
import { StepLogLimit } from './step-log-limit.ts';

/** Milliseconds between two messages to one client: what happens meanwhile travels together. */
const interval = 50;
/** Clients refuse messages of more than 4 MiB by default. */
const maxLogBytes = 1024 * 1024;

/** What one subscriber has not been told yet. Of a status, and of each run of a vertex, only its latest state counts. */
class Pending {
  /** By digest and start: clients wait for the end of every run that they know of. */
  readonly #vertices = new Map<string, Vertex>();
  readonly #statuses = new Map<string, VertexStatus>();
  #logs: VertexLog[] = [];
  #warnings: VertexWarning[] = [];
  #explanations: VertexExplanation[] = [];
  #logBytes = 0;

  get isEmpty(): boolean {
    return (
      this.#vertices.size === 0 &&
      this.#statuses.size === 0 &&
      this.#logs.length === 0 &&
      this.#warnings.length === 0 &&
      this.#explanations.length === 0
    );
  }

  vertex(vertex: Vertex): void {
    const { digest, started } = vertex;
    const announcement = `${digest} `;
    const run = started ? `${announcement}${started.seconds}.${started.nanos}` : announcement;
    this.#vertices.delete(announcement);
    this.#vertices.delete(run);
    this.#vertices.set(run, vertex);
  }

  status(status: VertexStatus): void {
    this.#statuses.set(`${status.vertex} ${status.id}`, status);
  }

  log(log: VertexLog): void {
    this.#logs.push(log);
    this.#logBytes += log.data.length;
  }

  warning(warning: VertexWarning): void {
    this.#warnings.push(warning);
  }

  explanation(explanation: VertexExplanation): void {
    this.#explanations.push(explanation);
  }

  get explanations(): readonly VertexExplanation[] {
    return this.#explanations;
  }

  /** Everything, as messages of a size that clients take. What has ended is told to have when its last line of log is. */
  *drain(): Generator<StatusResponse> {
    const vertexes = [...this.#vertices.values()];
    const statuses = [...this.#statuses.values()];
    const [warnings, explanations] = [this.#warnings, this.#explanations];
    const parts = this.#logBytes > maxLogBytes ? inParts(this.#logs) : [this.#logs];
    this.#vertices.clear();
    this.#statuses.clear();
    this.#warnings = [];
    this.#explanations = [];
    this.#logs = [];
    this.#logBytes = 0;
    const last = parts.pop() ?? [];
    for (const [index, logs] of parts.entries()) {
      const begun = index === 0 ? { vertexes: vertexes.map(unended), statuses } : {};
      yield create(StatusResponseSchema, { ...begun, logs });
    }
    yield create(StatusResponseSchema, { vertexes, statuses, warnings, explanations, logs: last });
  }

  copyTo(other: Pending): void {
    for (const vertex of this.#vertices.values()) other.vertex(vertex);
    for (const status of this.#statuses.values()) other.status(status);
    for (const log of this.#logs) other.log(log);
    for (const warning of this.#warnings) other.warning(warning);
    for (const explanation of this.#explanations) other.explanation(explanation);
  }
}

function inParts(logs: readonly VertexLog[]): VertexLog[][] {
  const parts: VertexLog[][] = [[]];
  let bytes = 0;
  for (const log of logs) {
    if (bytes + log.data.length > maxLogBytes && bytes > 0) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(log);
    bytes += log.data.length;
  }
  return parts;
}

function unended(vertex: Vertex): Vertex {
  return { ...vertex, completed: undefined, cached: false, error: '' };
}

interface Subscriber {
  readonly pending: Pending;
  wake(): void;
}

export interface StepCounts {
  readonly total: number;
  readonly completed: number;
  readonly cached: number;
  readonly warnings: number;
}

/** The account of one build as clients see it: kept whole, so that whoever looks later sees all of it. */
export class BuildProgress implements BuildEvents {
  readonly #all = new Pending();
  readonly #latest = new Map<string, Vertex>();
  readonly #logLimit = new StepLogLimit();
  readonly #subscribers = new Set<Subscriber>();
  #warnings = 0;
  #ended = false;

  vertex(event: VertexEvent): void {
    const vertex = {
      $typeName: 'moby.buildkit.v1.Vertex',
      digest: event.digest,
      inputs: [...event.inputs],
      name: event.name,
      cached: event.cached ?? false,
      started: event.started && timestampFromDate(event.started),
      completed: event.completed && timestampFromDate(event.completed),
      error: event.error ?? '',
      progressGroup: event.group && { $typeName: 'pb.ProgressGroup', ...event.group },
    } satisfies Vertex;
    this.#latest.set(event.digest, vertex);
    this.#tell((pending) => pending.vertex(vertex));
  }

  status(vertex: Digest, event: StatusEvent): void {
    const status = {
      $typeName: 'moby.buildkit.v1.VertexStatus',
      id: event.id,
      vertex,
      name: event.name ?? '',
      current: BigInt(event.current ?? 0),
      total: BigInt(event.total ?? 0),
      timestamp: timestampFromDate(new Date()),
      started: event.started && timestampFromDate(event.started),
      completed: event.completed && timestampFromDate(event.completed),
    } satisfies VertexStatus;
    this.#tell((pending) => pending.status(status));
  }

  log(vertex: Digest, stream: 1 | 2, data: Uint8Array, time: Date): void {
    const allowed = this.#logLimit.admit(vertex, data);
    if (allowed.length === 0) return;
    const log = {
      $typeName: 'moby.buildkit.v1.VertexLog',
      vertex,
      timestamp: timestampFromDate(time),
      stream: BigInt(stream),
      data: allowed,
    } satisfies VertexLog;
    this.#tell((pending) => pending.log(log));
  }

  warning(vertex: Digest, event: WarningEvent): void {
    this.#warnings++;
    const { source } = event;
    const warning = {
      $typeName: 'moby.buildkit.v1.VertexWarning',
      vertex,
      level: BigInt(event.level),
      short: Buffer.from(event.short),
      detail: (event.detail ?? []).map((line) => Buffer.from(line)),
      url: event.url ?? '',
      info: source && {
        $typeName: 'pb.SourceInfo',
        filename: source.filename,
        data: source.data,
        language: source.language ?? '',
      },
      ranges: (event.ranges ?? []).map(({ start, end }) => ({
        $typeName: 'pb.Range',
        start: { $typeName: 'pb.Position', ...start },
        end: { $typeName: 'pb.Position', ...end },
      })),
    } satisfies VertexWarning;
    this.#tell((pending) => pending.warning(warning));
  }

  explanation(vertex: Digest, { cause, text }: Explanation): void {
    const explanation = {
      $typeName: 'moby.buildkit.v1.VertexExplanation',
      vertex,
      text,
      cause: causeMessage(cause),
    } satisfies VertexExplanation;
    this.#tell((pending) => pending.explanation(explanation));
  }

  /** What was told so far. */
  get explanations(): readonly VertexExplanation[] {
    return this.#all.explanations;
  }

  counts(): StepCounts {
    const vertices = [...this.#latest.values()];
    return {
      total: vertices.length,
      completed: vertices.filter(({ completed }) => completed).length,
      cached: vertices.filter(({ cached }) => cached).length,
      warnings: this.#warnings,
    };
  }

  /** No more events: streams end when they have told everything. */
  end(): void {
    this.#ended = true;
    for (const subscriber of this.#subscribers) subscriber.wake();
  }

  /** Everything so far, then what comes, until the build ends or the reader leaves. */
  async *stream(signal: AbortSignal): AsyncGenerator<StatusResponse> {
    const pending = new Pending();
    this.#all.copyTo(pending);
    let turn = deferred<void>();
    const subscriber: Subscriber = { pending, wake: () => turn.resolve() };
    const leave = () => subscriber.wake();
    signal.addEventListener('abort', leave, { once: true });
    this.#subscribers.add(subscriber);
    try {
      while (!signal.aborted) {
        if (!pending.isEmpty) {
          yield* pending.drain();
          if (!this.#ended) await this.#pause();
          continue;
        }
        if (this.#ended) return;
        turn = deferred();
        await turn.promise;
      }
    } finally {
      signal.removeEventListener('abort', leave);
      this.#subscribers.delete(subscriber);
    }
  }

  /** Lets events gather, but not past the end of the build. */
  async #pause(): Promise<void> {
    const over = deferred<void>();
    const timer = setTimeout(() => over.resolve(), interval);
    const waiter: Subscriber = { pending: new Pending(), wake: () => this.#ended && over.resolve() };
    this.#subscribers.add(waiter);
    await over.promise;
    this.#subscribers.delete(waiter);
    clearTimeout(timer);
  }

  #tell(add: (pending: Pending) => void): void {
    add(this.#all);
    for (const subscriber of this.#subscribers) {
      add(subscriber.pending);
      subscriber.wake();
    }
  }
}
