import type { ProgressWriter, StatusEvent } from '../../base/progress.ts';

const units: Readonly<Record<string, number>> = {
  bytes: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Shows a `git fetch --progress` as one line, with the bytes that came. What else the remote says goes to the log. */
export class FetchProgress {
  readonly #line: StatusEvent;
  readonly #progress: ProgressWriter;
  #current: number | undefined;

  constructor(id: string, progress: ProgressWriter) {
    this.#line = { id, started: new Date() };
    this.#progress = progress;
    progress.status(this.#line);
  }

  read(line: string): void {
    const [, amount, unit] =
      /^(?:remote: )?Receiving objects:.*, ([\d.]+) (bytes|[KMG]iB)/.exec(line.slice(0, 1_000)) ?? [];
    if (amount !== undefined && unit !== undefined) {
      this.#current = Math.round(Number(amount) * units[unit]!);
      this.#progress.status({ ...this.#line, current: this.#current });
    } else if (line.startsWith('warning: ')) {
      this.#progress.log(2, Buffer.from(`${line}\n`));
    }
  }

  complete(): void {
    this.#progress.status({
      ...this.#line,
      ...(this.#current !== undefined && { current: this.#current }),
      completed: new Date(),
    });
  }
}
