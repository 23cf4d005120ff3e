import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { boundedText } from '../../api/bounded-text.ts';
import {
  type StatusResponse,
  StatusResponseSchema,
  type Vertex,
  type VertexExplanation,
  type VertexLog,
  type VertexStatus,
  type VertexWarning,
} from '../../api/gen/control_pb.js';
import { deferred } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import type { StatusEvent, VertexEvent, WarningEvent } from '../../base/progress.ts';
import type { Explanation } from '../../engine/explain/cause.ts';
import type { JobEvents } from '../../engine/job-events.ts';
import { causeMessage } from './cause-message.ts';
import { StepLogLimit } from './step-log-limit.ts';
import { WarningLimit } from './warning-limit.ts';

/** Milliseconds between two messages to one client. What happens in between travels together. */
const interval = 50;
/** About how many bytes one message may have: by default clients refuse more than 4 MiB. */
const maxMessageBytes = 1024 * 1024;
/** Bytes of a step's name, and of why it failed: one step must fit into a message. */
const maxTextBytes = 256 * 1024;

/** What one subscriber has not been sent yet. Of a status, and of each run of a vertex, only the latest state is kept. */
class Pending {
  /** By digest and start: clients wait for the end of every run that they know of. */
  readonly #vertices = new Map<string, Vertex>();
  readonly #statuses = new Map<string, VertexStatus>();
  #logs: VertexLog[] = [];
  #warnings: VertexWarning[] = [];
  #explanations: VertexExplanation[] = [];

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

  /** Everything that is pending, as messages of a size that clients take. The end of a vertex comes after all its output. */
  *drain(): Generator<StatusResponse> {
    const vertexes = inParts([...this.#vertices.values()], sizeOfVertex);
    const statuses = inParts([...this.#statuses.values()], sizeOfStatus);
    const logs = inParts(this.#logs, ({ data }) => overhead + data.length);
    const warnings = inParts(this.#warnings, sizeOfWarning);
    const explanations = inParts(this.#explanations, ({ text }) => overhead + text.length);
    this.#vertices.clear();
    this.#statuses.clear();
    this.#logs = [];
    this.#warnings = [];
    this.#explanations = [];
    const kinds = { vertexes, statuses, logs, warnings, explanations };
    if (Object.values(kinds).reduce((sum, { bytes }) => sum + bytes, 0) <= maxMessageBytes) {
      const whole = Object.entries(kinds).map(([kind, { parts }]) => [kind, parts[0] ?? []]);
      yield create(StatusResponseSchema, Object.fromEntries(whole));
      return;
    }
    for (const part of vertexes.parts) yield create(StatusResponseSchema, { vertexes: part.map(unended) });
    for (const part of statuses.parts) yield create(StatusResponseSchema, { statuses: part });
    for (const part of logs.parts) yield create(StatusResponseSchema, { logs: part });
    for (const part of warnings.parts) yield create(StatusResponseSchema, { warnings: part });
    for (const part of explanations.parts) yield create(StatusResponseSchema, { explanations: part });
    for (const part of vertexes.parts) yield create(StatusResponseSchema, { vertexes: part });
  }

  copyTo(other: Pending): void {
    for (const vertex of this.#vertices.values()) other.vertex(vertex);
    for (const status of this.#statuses.values()) other.status(status);
    for (const log of this.#logs) other.log(log);
    for (const warning of this.#warnings) other.warning(warning);
    for (const explanation of this.#explanations) other.explanation(explanation);
  }
}

interface Parts<T> {
  readonly parts: readonly T[][];
  readonly bytes: number;
}

function inParts<T>(items: readonly T[], sizeOf: (item: T) => number): Parts<T> {
  const parts: T[][] = [];
  let total = 0;
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const size = sizeOf(item);
    if (bytes + size > maxMessageBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(item);
    bytes += size;
    total += size;
  }
  return { parts, bytes: total };
}

/** Bytes that every item has besides its texts: digests, times and framing. */
const overhead = 200;

const sizeOfVertex = ({ name, error, inputs }: Vertex) =>
  overhead + name.length + error.length + inputs.length * 80;

const sizeOfStatus = ({ id, name }: VertexStatus) => overhead + id.length + name.length;

function sizeOfWarning({ short, detail, url, info, ranges }: VertexWarning): number {
  const texts = [short, ...detail].reduce((sum, { length }) => sum + length, 0);
  return overhead + texts + url.length + (info?.data.length ?? 0) + ranges.length * 30;
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

/** One build's progress as clients see it. All of it is kept, so that a client that looks later sees everything. */
export class BuildProgress implements JobEvents {
  readonly #all = new Pending();
  readonly #latest = new Map<string, Vertex>();
  readonly #logLimit = new StepLogLimit();
  readonly #warningLimit = new WarningLimit();
  readonly #subscribers = new Set<Subscriber>();
  #warnings = 0;
  #ended = false;

  vertex(event: VertexEvent): void {
    const vertex = {
      $typeName: 'moby.buildkit.v1.Vertex',
      digest: event.digest,
      inputs: [...event.inputs],
      name: boundedText(event.name, maxTextBytes),
      cached: event.cached ?? false,
      started: event.started && timestampFromDate(event.started),
      completed: event.completed && timestampFromDate(event.completed),
      error: boundedText(event.error ?? '', maxTextBytes),
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
    const admitted = this.#warningLimit.admit(event);
    if (!admitted) return;
    const { level, short, detail, url, source, ranges } = admitted;
    const warning = {
      $typeName: 'moby.buildkit.v1.VertexWarning',
      vertex,
      level: BigInt(level),
      short: Buffer.from(short),
      detail: (detail ?? []).map((line) => Buffer.from(line)),
      url: url ?? '',
      info: source && {
        $typeName: 'pb.SourceInfo',
        filename: source.filename,
        data: source.data,
        language: source.language ?? '',
      },
      ranges: (ranges ?? []).map(({ start, end }) => ({
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

  /** All explanations so far. */
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

  /** Says that no more events come: streams end when everything was sent. */
  end(): void {
    this.#ended = true;
    for (const subscriber of this.#subscribers) subscriber.wake();
  }

  /** Everything so far, and then what is new, until the build ends or `signal` aborts. */
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
