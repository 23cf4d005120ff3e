import type { SolveStatus } from '../../client/solve-status.ts';
import type { Colors } from './colors.ts';
import type { Display } from './display.ts';
import { failedStepLog } from './failed-step-log.ts';
import { ProgressState } from './progress-state.ts';
import { renderFrame } from './tty-frame.ts';

/** Milliseconds between frames: few enough that a slow terminal keeps up, and running times still tick. */
const frameTime = 100;
const failureLines = 5_000;
/** The size of terminals that do not tell theirs. */
const defaultSize = { columns: 80, rows: 24 };
const hideCursor = '\x1b[?25l';
const showCursor = '\x1b[?25h';
const eraseToEndOfLine = '\x1b[K';
const eraseBelow = '\x1b[J';

/** The parts of a terminal's stream that the display needs. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

export interface TtyOptions {
  readonly colors: Colors;
  /** Lines of output shown below a running step. */
  readonly logLines: number;
}

/** A picture of the build that is drawn over the last one, ten times a second. */
export class TtyDisplay implements Display {
  readonly #state = new ProgressState();
  readonly #terminal: Terminal;
  readonly #options: TtyOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #restoreCursor: () => void;
  readonly #onResize = () => this.#draw(false);
  /** The rows that the last frame takes on the screen, and how wide the screen was. */
  #drawn = { rows: 0, width: 0 };
  #done = false;

  constructor(terminal: Terminal, options: TtyOptions) {
    this.#terminal = terminal;
    this.#options = options;
    this.#restoreCursor = () => terminal.write(showCursor);
    process.once('exit', this.#restoreCursor);
    terminal.on('resize', this.#onResize);
    terminal.write(hideCursor);
    this.#timer = setInterval(() => this.#draw(false), frameTime);
  }

  update(status: SolveStatus): void {
    this.#state.apply(status, Date.now());
  }

  /** Stays above the picture. */
  notice(text: string): void {
    this.#terminal.write(`${this.#toTop()}${text}${eraseToEndOfLine}\n${eraseBelow}`);
    this.#drawn = { rows: 0, width: 0 };
    this.#draw(false);
  }

  finish(): void {
    if (this.#state.started.length > 0) this.#draw(true);
    for (const step of this.#state.failed) this.#terminal.write(failedStepLog(step, failureLines));
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#done) return;
    this.#done = true;
    clearInterval(this.#timer);
    this.#terminal.off('resize', this.#onResize);
    process.off('exit', this.#restoreCursor);
    this.#restoreCursor();
  }

  #draw(final: boolean): void {
    if (this.#state.started.length === 0) return;
    const { columns: width = defaultSize.columns, rows: height = defaultSize.rows } = this.#terminal;
    const lines = renderFrame(this.#state, { width, height, now: Date.now(), final, ...this.#options });
    const body = lines.map((line) => `${line}${eraseToEndOfLine}\n`).join('');
    this.#terminal.write(`${this.#toTop()}${body}${eraseBelow}`);
    this.#drawn = { rows: lines.length, width };
  }

  /** Moves the cursor to where the last frame begins, as far as it is on the screen. */
  #toTop(): string {
    const { columns: width = defaultSize.columns, rows: height = defaultSize.rows } = this.#terminal;
    // A terminal that became narrower has broken each line in pieces.
    const pieces = this.#drawn.width > width ? Math.ceil((this.#drawn.width - 1) / width) : 1;
    const up = Math.min(this.#drawn.rows * pieces, height - 1);
    return up > 0 ? `\x1b[${up}A\r` : '\r';
  }
}
