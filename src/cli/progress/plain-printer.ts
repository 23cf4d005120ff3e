import type { StatusUpdate } from '../../client/solve-status.ts';
import { failedStepLog } from './failed-step-log.ts';
import { formatTransfer } from './format-bytes.ts';
import { coveredSeconds } from './intervals.ts';
import { formatSeconds } from './log-seconds.ts';
import { isComplete, type ProgressState, type Step } from './progress-state.ts';

/** A running step keeps the floor at least this long (milliseconds) before another one's output is shown. */
const minimumTurn = 5_000;
/** A status is shown again only after this time (milliseconds) or this share of its total. */
const statusPause = 5_000;
const statusShare = 0.05;
const failureLines = 10;

interface Printed {
  readonly number: number;
  revision: number;
  warnings: number;
  explanations: number;
  /** Whether the last thing said was how the step ended. */
  ended: boolean;
  readonly statuses: Map<string, StatusUpdate>;
}

/**
 * The plain format: numbered steps, `#3 [stage 2/4] RUN …`, whose output comes in turns so that lines of steps that run
 * at once do not mix. `#3 ...` says that a step's turn is over while it still runs.
 */
export class PlainPrinter {
  readonly #state: ProgressState;
  readonly #write: (text: string) => void;
  readonly #printed = new Map<string, Printed>();
  #current: { readonly step: Step; readonly since: number } | undefined;

  constructor(state: ProgressState, write: (text: string) => void) {
    this.#state = state;
    this.#write = write;
  }

  /** Prints what is new; false when some of it has to wait for its turn. `now` is local time in milliseconds. */
  print(now: number): boolean {
    const pending = this.#state.started.filter((step) => this.#isPending(step));
    const complete = pending.filter(isComplete).sort((a, b) => endTime(a) - endTime(b));
    const holder = this.#current?.step;
    if (holder && complete.includes(holder)) this.#printStep(holder, now);
    for (const step of complete) if (step !== holder) this.#printStep(step, now);

    const running = pending.filter((step) => !isComplete(step));
    const current = this.#current;
    if (current && running.includes(current.step)) this.#printStep(current.step, now);
    const waiting = running.filter((step) => step !== this.#current?.step);
    if (current && current === this.#current && now - current.since < minimumTurn)
      return waiting.length === 0;
    const next = waiting.reduce<Step | undefined>(
      (best, step) => (best && best.log.untaken >= step.log.untaken ? best : step),
      undefined,
    );
    if (next) this.#printStep(next, now);
    return waiting.length <= 1;
  }

  /** Ends the lines that running steps have begun, to show what they wait for. */
  endOpenLines(): void {
    for (const step of this.#state.started) step.log.endOpenLines();
  }

  /** Prints what is left, also of steps that never completed, and the last lines of those that failed. */
  finish(now: number): void {
    this.endOpenLines();
    this.print(now);
    for (const step of this.#state.started) if (step.log.untaken > 0) this.#printStep(step, now);
    for (const step of this.#state.failed) this.#write(failedStepLog(step, failureLines));
  }

  #isPending(step: Step): boolean {
    const printed = this.#printed.get(step.key);
    return !printed || printed.revision !== step.revision || step.log.untaken > 0;
  }

  #printStep(step: Step, now: number): void {
    const printed = this.#printed.get(step.key) ?? {
      number: this.#printed.size + 1,
      revision: -1,
      warnings: 0,
      explanations: 0,
      ended: false,
      statuses: new Map(),
    };
    const isNew = !this.#printed.has(step.key);
    this.#printed.set(step.key, printed);
    printed.revision = step.revision;
    const lines = this.#news(step, printed);
    const ending = ended(step) ? outcome(step, now) : undefined;
    // A step that completes again (its result was used once more) has nothing to say.
    if (!isNew && lines.length === 0 && (ending === undefined || printed.ended)) return;

    let text = '';
    if (this.#current?.step !== step) {
      const previous = this.#current && this.#printed.get(this.#current.step.key)!;
      if (previous) text += `#${previous.number} ...\n`;
      if (this.#printed.size > 1) text += '\n';
      text += `#${printed.number} ${step.name}\n`;
      this.#current = { step, since: now };
    }
    for (const line of lines) text += `#${printed.number} ${line}\n`;
    if (ending !== undefined) {
      text += `#${printed.number} ${ending}\n`;
      this.#current = undefined;
    }
    printed.ended = ending !== undefined;
    this.#write(text);
  }

  #news(step: Step, printed: Printed): readonly string[] {
    const statuses = [...step.statuses.values()].filter((status) => {
      const last = printed.statuses.get(status.id);
      if (!status.started || (last && !isNews(status, last))) return false;
      printed.statuses.set(status.id, status);
      return true;
    });
    const warnings = step.warnings.slice(printed.warnings);
    printed.warnings = step.warnings.length;
    const explanations = [...step.explanations].slice(printed.explanations);
    printed.explanations = step.explanations.size;
    return [
      ...explanations.map((text) => `not cached: ${text}`),
      ...statuses.map(statusLine),
      ...warnings.map((warning) => `WARN: ${warning.short}`),
      ...step.log.take().map((line) => `${formatSeconds(line.seconds)} ${line.text}`),
    ];
  }
}

function isNews(status: StatusUpdate, last: StatusUpdate): boolean {
  if (last.completed) return false;
  if (status.completed) return true;
  if (status.timestamp.getTime() - last.timestamp.getTime() >= statusPause) return true;
  return status.total > 0 && (status.current - last.current) / status.total >= statusShare;
}

function statusLine(status: StatusUpdate): string {
  const transfer = formatTransfer(status.current, status.total);
  const end = status.completed ?? status.timestamp;
  const seconds = status.started ? (end.getTime() - status.started.getTime()) / 1000 : 0;
  const time = seconds > 0.01 ? ` ${seconds.toFixed(1)}s` : '';
  return `${status.id}${transfer && ` ${transfer}`}${time}${status.completed ? ' done' : ''}`;
}

/** Work may still be shown inside a step that is complete by itself. */
function ended(step: Step): boolean {
  return isComplete(step) && !step.statuses.values().some((status) => status.started && !status.completed);
}

function outcome(step: Step, now: number): string {
  switch (step.phase) {
    case 'failed':
      return `ERROR: ${step.error}`;
    case 'canceled':
      return 'CANCELED';
    case 'cached':
      return 'CACHED';
    case 'done':
    case 'running':
    case 'waiting':
      return `DONE ${coveredSeconds(step.intervals, now).toFixed(1)}s`;
  }
}

function endTime(step: Step): number {
  return step.intervals.reduce(
    (latest, { end = Number.POSITIVE_INFINITY }) => Math.max(latest, end),
    Number.NEGATIVE_INFINITY,
  );
}
