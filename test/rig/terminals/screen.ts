import { eventually } from '../eventually.ts';
import { mustRun, runProgram } from '../run-program.ts';

/** A terminal of tmux in which a command of the shell runs. Disposing it closes the terminal. */
export class Screen implements AsyncDisposable {
  readonly #socket: string;
  #text = '';

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** `socket` is a path for tmux. */
  static async open(
    socket: string,
    command: string,
    { columns = 100, rows = 30 }: { readonly columns?: number; readonly rows?: number } = {},
  ): Promise<Screen> {
    const screen = new Screen(socket);
    const size = ['-x', String(columns), '-y', String(rows)];
    await screen.#tmux('-f', '/dev/null', 'new-session', '-d', ...size, command);
    return screen;
  }

  /** Types, in tmux's names of keys: `C-c`, `Enter`. What is typed when the command has ended is for nobody. */
  async type(...keys: readonly string[]): Promise<void> {
    await runProgram('tmux', ['-S', this.#socket, 'send-keys', ...keys]);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** What is on the screen, with the sequences of colours if `colours` is set. */
  async text({ colours = false } = {}): Promise<string> {
    this.#text = await this.#tmux('capture-pane', '-p', ...(colours ? ['-e'] : []));
    return this.#text;
  }

  /** Resolves when the screen has the text. */
  async shows(text: string | RegExp): Promise<void> {
    await this.until(async () => {
      const shown = await this.text();
      return typeof text === 'string' ? shown.includes(text) : text.test(shown);
    });
  }

  /** As `eventually`; says what is on the screen when it takes too long. */
  async until(holds: () => boolean | Promise<boolean>): Promise<void> {
    await eventually(holds, () => this.#text);
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    return (await mustRun('tmux', ['-S', this.#socket, ...args])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runProgram('tmux', ['-S', this.#socket, 'kill-server']);
  }
}
