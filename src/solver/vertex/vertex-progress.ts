import type { Digest } from '../../base/digest.ts';
import type {
  ProgressGroup,
  ProgressWriter,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '../../base/progress.ts';
import type { SolverEvents } from '../solver.ts';

/** What clients recognise as a cancelled, rather than failed, vertex. */
export const canceledText = 'context canceled';

/** Bytes of log kept for jobs that come later; what is older is dropped. */
const replayedLogBytes = 1 << 20;

/**
 *   announced ──► running ──► completed
 *       │            ▲            │
 *       │            └────────────┤ (a source resolved, then pulled; a retry)
 *       └──► completed (cached) ──┘
 */
type Shown =
  | { readonly kind: 'announced' }
  | { readonly kind: 'running'; readonly started: Date; readonly works: number }
  | {
      readonly kind: 'completed';
      readonly started: Date;
      readonly completed: Date;
      readonly cached: boolean;
      readonly error?: string;
    };

interface LogEntry {
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly time: Date;
}

export interface ProgressSubject {
  readonly digest: Digest;
  readonly inputs: readonly Digest[];
  readonly group?: ProgressGroup;
}

/** What is shown of one vertex, to every job that needs it. A job that comes later is told what it missed. */
export class VertexProgress implements ProgressWriter {
  readonly #subject: ProgressSubject;
  readonly #now: () => number;
  /** With what each job calls the vertex. */
  readonly #audience = new Map<SolverEvents, string>();
  /** Vertices that wait for this one's result: they show its output as theirs. */
  readonly #mirrors = new Set<VertexProgress>();
  readonly #statuses = new Map<string, StatusEvent>();
  readonly #warnings: WarningEvent[] = [];
  #logs: LogEntry[] = [];
  #logBytes = 0;
  #shown: Shown = { kind: 'announced' };

  constructor(subject: ProgressSubject, now: () => number) {
    this.#subject = subject;
    this.#now = now;
  }

  get kind(): Shown['kind'] {
    return this.#shown.kind;
  }

  /** `name`: what this job calls the vertex. A name is no part of a vertex's identity, so jobs may differ. */
  join(events: SolverEvents, name: string): void {
    if (this.#audience.has(events)) return;
    this.#audience.set(events, name);
    const shown = this.#shown;
    const tell = (state: Shown) => events.vertex({ ...this.#event(state), name });
    tell({ kind: 'announced' });
    const said = this.#statuses.size > 0 || this.#logs.length > 0;
    if (shown.kind === 'running') tell(shown);
    else if (shown.kind === 'completed' && (said || !shown.cached)) {
      tell({ kind: 'running', started: shown.started, works: 1 });
    }
    const { digest } = this.#subject;
    for (const status of this.#statuses.values()) events.status(digest, status);
    for (const { stream, data, time } of this.#logs) events.log(digest, stream, data, time);
    for (const warning of this.#warnings) events.warning(digest, warning);
    if (shown.kind === 'completed') tell(shown);
  }

  /** Tells the leaving job that, for it, what still runs is cancelled. */
  leave(events: SolverEvents): void {
    const name = this.#audience.get(events);
    if (name === undefined) return;
    this.#audience.delete(events);
    if (this.#shown.kind === 'running')
      events.vertex({ ...this.#event(this.#completion(this.#shown.started, false, canceledText)), name });
  }

  /** Work begins. Works may overlap: the vertex runs until the last has completed. */
  started(): void {
    const shown = this.#shown;
    if (shown.kind === 'running') {
      this.#shown = { ...shown, works: shown.works + 1 };
      return;
    }
    this.#show({ kind: 'running', started: new Date(this.#now()), works: 1 });
  }

  completed(outcome: { readonly cached?: boolean; readonly error?: string } = {}): void {
    const shown = this.#shown;
    if (shown.kind === 'running' && shown.works > 1 && outcome.error === undefined) {
      this.#shown = { ...shown, works: shown.works - 1 };
      return;
    }
    if (shown.kind !== 'running') {
      if (outcome.error === undefined) return;
      this.started();
    }
    const { started } = this.#shown as { readonly started: Date };
    this.#show(this.#completion(started, outcome.cached ?? false, outcome.error));
  }

  /** What ran was cancelled. */
  stopped(): void {
    if (this.#shown.kind === 'running') this.completed({ error: canceledText });
  }

  /** The result was there already: started and completed at the same moment. */
  cached(): void {
    if (this.#shown.kind === 'running') return;
    this.#show(this.#completion(new Date(this.#now()), true, undefined));
  }

  status(event: StatusEvent): void {
    this.#statuses.set(event.id, { ...this.#statuses.get(event.id), ...event });
    for (const events of this.#audience.keys()) events.status(this.#subject.digest, event);
    for (const mirror of this.#mirrors) mirror.status(event);
  }

  log(stream: 1 | 2, data: Uint8Array): void {
    this.#log({ stream, data, time: new Date(this.#now()) });
  }

  warn(event: WarningEvent): void {
    this.#warnings.push(event);
    for (const events of this.#audience.keys()) events.warning(this.#subject.digest, event);
    for (const mirror of this.#mirrors) mirror.warn(event);
  }

  /** From now on, and for what was said so far, `mirror` says the same. */
  mirrorTo(mirror: VertexProgress): void {
    for (const status of this.#statuses.values()) mirror.status(status);
    for (const entry of this.#logs) mirror.#log(entry);
    for (const warning of this.#warnings) mirror.warn(warning);
    this.#mirrors.add(mirror);
  }

  unmirror(mirror: VertexProgress): void {
    this.#mirrors.delete(mirror);
  }

  #log(entry: LogEntry): void {
    this.#logs.push(entry);
    this.#logBytes += entry.data.length;
    if (this.#logBytes > 2 * replayedLogBytes) this.#trimLogs();
    for (const events of this.#audience.keys())
      events.log(this.#subject.digest, entry.stream, entry.data, entry.time);
    for (const mirror of this.#mirrors) mirror.#log(entry);
  }

  #trimLogs(): void {
    let first = 0;
    while (this.#logBytes > replayedLogBytes) this.#logBytes -= this.#logs[first++]!.data.length;
    this.#logs = this.#logs.slice(first);
  }

  #completion(started: Date, cached: boolean, error: string | undefined): Shown {
    return {
      kind: 'completed',
      started,
      completed: cached && this.#shown.kind !== 'running' ? started : new Date(this.#now()),
      cached,
      error,
    };
  }

  #show(shown: Shown): void {
    this.#shown = shown;
    if (this.#audience.size === 0) return;
    const event = this.#event(shown);
    for (const [events, name] of this.#audience) events.vertex({ ...event, name });
  }

  #event(shown: Shown): Omit<VertexEvent, 'name'> {
    const { digest, inputs, group } = this.#subject;
    const base = { digest, inputs, group };
    switch (shown.kind) {
      case 'announced':
        return base;
      case 'running':
        return { ...base, started: shown.started };
      case 'completed':
        return {
          ...base,
          started: shown.started,
          completed: shown.completed,
          cached: shown.cached,
          error: shown.error,
        };
    }
  }
}
