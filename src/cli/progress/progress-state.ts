import type { SolveStatus, StatusUpdate, VertexUpdate, WarningUpdate } from '../../client/solve-status.ts';
import { goesOn, type Interval, latestStart } from './intervals.ts';
import { StepLog } from './step-log.ts';

/**
 * Where a step stands.
 *
 *     waiting ──► running ──► done | cached | failed | canceled
 *                    ▲                │
 *                    └────────────────┘  work on a step can go on after it seemed complete
 */
export type StepPhase = 'waiting' | 'running' | 'done' | 'cached' | 'failed' | 'canceled';

/** One line of the display: a vertex, or a group of vertexes that are shown as one. */
export interface Step {
  /** A vertex's digest or a group's id. */
  readonly key: string;
  readonly name: string;
  readonly phase: StepPhase;
  readonly error?: string;
  /** When work on it went on, by the clock of the daemon. */
  readonly intervals: readonly Interval[];
  readonly statuses: ReadonlyMap<string, StatusUpdate>;
  readonly warnings: readonly WarningUpdate[];
  /** Why it was not cached. */
  readonly explanations: ReadonlySet<string>;
  readonly log: StepLog;
  /** Goes up whenever something about the step changes. */
  readonly revision: number;
}

interface MutableStep extends Step {
  name: string;
  phase: StepPhase;
  error?: string;
  intervals: readonly Interval[];
  readonly statuses: Map<string, StatusUpdate>;
  readonly warnings: WarningUpdate[];
  readonly explanations: Set<string>;
  /** From when the seconds of its log count; undefined while that is to be found again. */
  logStart?: number;
  revision: number;
  /** The latest event of each vertex: one for a plain step, several for a group. */
  readonly members: Map<string, VertexUpdate>;
  readonly stretches: Map<string, Interval>;
  readonly grouped: boolean;
  shown: boolean;
}

/**
 * What is known of a build: the sum of its status events. Knows no clock, no terminal and no format, so that every
 * display shows the same build.
 */
export class ProgressState {
  readonly #steps = new Map<string, MutableStep>();
  /** Which step a vertex belongs to. */
  readonly #stepOf = new Map<string, MutableStep>();
  readonly #started: MutableStep[] = [];
  readonly #warnings: WarningUpdate[] = [];
  #startTime: number | undefined;
  #clockDifference = 0;

  /** `now` is the local time of arrival; the first start of a step sets the daemon's clock against it. */
  apply(status: SolveStatus, now: number): void {
    const touched = new Set<MutableStep>();
    for (const vertex of status.vertexes) {
      if (vertex.started && this.#startTime === undefined) {
        this.#startTime = vertex.started.getTime();
        this.#clockDifference = now - this.#startTime;
      }
      const step = this.#stepFor(vertex);
      // A vertex can be announced again after it began; that takes nothing back.
      if (vertex.started || !step.members.get(vertex.digest)?.started)
        step.members.set(vertex.digest, vertex);
      if (vertex.started) {
        const start = vertex.started.getTime();
        step.stretches.set(`${vertex.digest} ${start}`, { start, end: vertex.completed?.getTime() });
      }
      touched.add(step);
    }
    for (const step of touched) this.#refresh(step);
    for (const update of status.statuses) {
      const step = this.#stepOf.get(update.vertex);
      if (!step) continue;
      const before = step.statuses.get(update.id);
      step.statuses.set(update.id, { ...update, started: update.started ?? before?.started });
      step.revision++;
    }
    for (const warning of status.warnings) {
      this.#warnings.push(warning);
      const step = this.#stepOf.get(warning.vertex);
      if (!step) continue;
      step.warnings.push(warning);
      step.revision++;
    }
    for (const { vertex, text } of status.explanations) {
      const step = this.#stepOf.get(vertex);
      if (!step || step.explanations.has(text)) continue;
      step.explanations.add(text);
      step.revision++;
    }
    for (const log of status.logs) {
      const step = this.#stepOf.get(log.vertex);
      if (!step) continue;
      step.logStart ??= latestStart(step.intervals);
      const time = log.timestamp.getTime();
      step.log.add(log.stream, log.data, Math.max(0, time - (step.logStart ?? time)) / 1000);
      step.revision++;
    }
  }

  #stepFor(vertex: VertexUpdate): MutableStep {
    const key = vertex.group?.id ?? vertex.digest;
    let step = this.#steps.get(key);
    if (!step) {
      step = {
        key,
        name: vertex.group?.name ?? vertex.name,
        phase: 'waiting',
        intervals: [],
        statuses: new Map(),
        warnings: [],
        explanations: new Set(),
        log: new StepLog(),
        revision: 0,
        members: new Map(),
        stretches: new Map(),
        grouped: vertex.group !== undefined,
        shown: false,
      };
      this.#steps.set(key, step);
    }
    this.#stepOf.set(vertex.digest, step);
    return step;
  }

  #refresh(step: MutableStep): void {
    const members = [...step.members.values()];
    if (!step.grouped) step.name = members.at(-1)!.name || step.name;
    step.intervals = [...step.stretches.values()];
    step.logStart = undefined;
    step.error = members.find((member) => member.error)?.error;
    step.phase = phaseOf(step, members);
    if (step.phase === 'failed' || step.phase === 'canceled' || step.phase === 'done')
      step.log.endOpenLines();
    step.revision++;
    if (!step.shown && isShown(step)) {
      step.shown = true;
      this.#started.push(step);
    }
  }

  /** Steps on which work has begun, in that order. Groups count only once a member that is not weak has begun. */
  get started(): readonly Step[] {
    return this.#started;
  }

  /** How many steps are known and how many of them are complete. */
  get count(): { readonly total: number; readonly completed: number } {
    let total = 0;
    let completed = 0;
    for (const step of this.#steps.values()) {
      if (step.grouped && !step.shown) continue;
      total++;
      if (isComplete(step)) completed++;
    }
    return { total, completed };
  }

  get warnings(): readonly WarningUpdate[] {
    return this.#warnings;
  }

  get failed(): readonly Step[] {
    return this.#started.filter((step) => step.phase === 'failed');
  }

  /** When the first step began, by the daemon's clock. */
  get startTime(): number | undefined {
    return this.#startTime;
  }

  /** Local time as the daemon's clock would show it. */
  daemonTime(now: number): number {
    return now - this.#clockDifference;
  }
}

export function isComplete(step: Step): boolean {
  return step.phase !== 'waiting' && step.phase !== 'running';
}

function isShown(step: MutableStep): boolean {
  if (step.intervals.length === 0) return false;
  if (!step.grouped) return true;
  const members = [...step.members.values()];
  return members.some((member) => member.error || (member.started && !member.group?.weak));
}

function phaseOf(step: MutableStep, members: readonly VertexUpdate[]): StepPhase {
  if (step.intervals.length === 0) return 'waiting';
  if (goesOn(step.intervals)) return 'running';
  if (step.error !== undefined) return isCancellation(step.error) ? 'canceled' : 'failed';
  return members.every((member) => member.cached) ? 'cached' : 'done';
}

/** The status events carry errors as text only; this is how every daemon ends the text of a cancellation. */
function isCancellation(error: string): boolean {
  return /(^|[\s:])(context )?canceled$/.test(error);
}
