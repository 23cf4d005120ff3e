import type { StatusUpdate } from '../../client/solve-status.ts';
import { type Colors, paint } from './colors.ts';
import { formatTransfer } from './format-bytes.ts';
import { coveredSeconds } from './intervals.ts';
import { isComplete, type ProgressState, type Step } from './progress-state.ts';
import { clipText, printableText, textWidth } from './text-width.ts';

export interface FrameOptions {
  /** Columns and rows of the terminal. */
  readonly width: number;
  readonly height: number;
  /** Local time in milliseconds. */
  readonly now: number;
  readonly colors: Colors;
  /** How many lines of a running step's output are shown, where there is room. */
  readonly logLines: number;
  /** The last frame stays on the screen: every row is in it, whatever the height, and no output. */
  readonly final: boolean;
}

interface Row {
  readonly text: string;
  readonly running: boolean;
  /** The step this row is the headline of. */
  readonly headOf?: Step;
}

/** The rows between which a running step's output may take room, and the header. */
const reservedRows = 2;

/** One picture of the build: a header, a row for each step and each piece of its work, and the last output of what runs. */
export function renderFrame(state: ProgressState, options: FrameOptions): readonly string[] {
  const room = Math.max(0, options.height - reservedRows);
  const rows = (options.final ? state.started : stepsInView(state.started, room)).flatMap((step) =>
    stepRows(step, state, options),
  );
  const windows = options.final ? new Map<Step, readonly string[]>() : logWindows(state, rows, room, options);
  const used = windows.values().reduce((sum, window) => sum + window.length, 0);
  const shown = options.final ? rows : selectRows(rows, room - used);
  return [
    header(state, options),
    ...shown.flatMap((row) => [row.text, ...((row.headOf && windows.get(row.headOf)) ?? [])]),
  ];
}

/** Without steps that are over and have so many after them that there is no room for their rows: builds have thousands. */
function stepsInView(started: readonly Step[], room: number): readonly Step[] {
  let over = 0;
  return started
    .toReversed()
    .filter((step) => hasRunningRow(step) || over++ < room)
    .reverse();
}

function hasRunningRow({ phase, statuses }: Step): boolean {
  return phase === 'running' || statuses.values().some((status) => status.started && !status.completed);
}

function header(state: ProgressState, { width, now, final }: FrameOptions): string {
  const { total, completed } = state.count;
  const seconds = state.startTime === undefined ? 0 : (state.daemonTime(now) - state.startTime) / 1000;
  const succeeded = state.started.every((step) => step.phase !== 'failed' && step.phase !== 'canceled');
  const finished = final && succeeded && total > 0 && completed === total ? ' FINISHED' : '';
  return clipText(
    `[+] Building ${Math.max(0, seconds).toFixed(1)}s (${completed}/${total})${finished}`,
    width - 1,
  );
}

function stepRows(step: Step, state: ProgressState, options: FrameOptions): readonly Row[] {
  const daemonNow = state.daemonTime(options.now);
  const running = step.phase === 'running';
  const prefix = {
    failed: 'ERROR ',
    canceled: 'CANCELED ',
    cached: 'CACHED ',
    done: '',
    running: '',
    waiting: '',
  };
  const seconds = coveredSeconds(step.intervals, daemonNow);
  const head = row(prefix[step.phase] + printableText(step.name), '', seconds, options.width);
  const last = step.intervals.at(-1);
  return [
    { text: paint(head, stepColor(step, options.colors)), running, headOf: step },
    ...Array.from(step.explanations, (text) => ({
      text: clipText(` => => not cached: ${printableText(text)}`, options.width - 1),
      running: false,
    })),
    ...[...step.statuses.values()]
      .filter((status) => status.started)
      .map((status) => statusRow(status, daemonNow, options)),
    ...step.warnings.map((warning) => ({
      text: paint(
        row(
          `WARN: ${printableText(warning.short)}`,
          '',
          coveredSeconds(last ? [last] : [], daemonNow),
          options.width,
        ),
        options.colors.warning,
      ),
      running: false,
    })),
  ];
}

function statusRow(status: StatusUpdate, daemonNow: number, { width, colors }: FrameOptions): Row {
  const end = (status.completed?.getTime() ?? daemonNow) - status.started!.getTime();
  const transfer = formatTransfer(status.current, status.total);
  const text = row(`=> ${printableText(status.id)}`, transfer, end / 1000, width);
  return status.completed ? { text: paint(text, colors.run), running: false } : { text, running: true };
}

function stepColor(step: Step, colors: Colors): string | undefined {
  switch (step.phase) {
    case 'failed':
      return colors.error;
    case 'canceled':
      return colors.cancel;
    case 'done':
    case 'cached':
      return colors.run;
    case 'running':
    case 'waiting':
      return undefined;
  }
}

/** ` => name transfer          1.2s`, as wide as the terminal less one column. */
function row(name: string, transfer: string, seconds: number, width: number): string {
  const timer = `${(seconds < 0.05 ? 0 : Math.max(0, seconds)).toFixed(1)}s`;
  const prefix = ' => ';
  const left = width - 1 - prefix.length - timer.length - 1;
  if (left <= 0) return clipText(`${prefix}${name}`, width - 1);
  const suffix = transfer && left - transfer.length - 1 >= 12 ? ` ${transfer}` : '';
  const clipped = clipText(name, left - suffix.length);
  const padding = ' '.repeat(Math.max(0, left - textWidth(clipped) - suffix.length));
  return `${prefix}${clipped}${suffix}${padding} ${timer}`;
}

/** Output windows for the running steps that write most, as long as the rows of what runs leave room. */
function logWindows(
  state: ProgressState,
  rows: readonly Row[],
  room: number,
  { logLines, width, colors }: FrameOptions,
): ReadonlyMap<Step, readonly string[]> {
  const windows = new Map<Step, readonly string[]>();
  let free = room - rows.filter((candidate) => candidate.running).length;
  const talking = state.started
    .filter((step) => !isComplete(step) && step.log.bytes > 0)
    .sort((a, b) => b.log.bytes - a.log.bytes);
  for (const step of talking) {
    if (free < 2) break;
    const { lines } = step.log.tail(Math.min(logLines, free - 1));
    const window = lines
      .map((line) => printableText(line.text))
      .filter((text) => text.trim() !== '')
      .map((text) => paint(clipText(` => => # ${text}`, width - 1), colors.log));
    windows.set(step, window);
    free -= window.length;
  }
  return windows;
}

/** The latest rows that fit, but first of all those of what runs. */
function selectRows(rows: readonly Row[], room: number): readonly Row[] {
  if (rows.length <= room) return rows;
  if (room <= 0) return [];
  const running = rows.filter((candidate) => candidate.running).slice(-room);
  const others = room - running.length;
  const kept = new Set(running);
  if (others > 0) {
    for (const other of rows.filter((candidate) => !candidate.running).slice(-others)) kept.add(other);
  }
  return rows.filter((candidate) => kept.has(candidate));
}
