import { KilnError } from '../../base/errors.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import type { OperationContext } from '../solver.ts';
import { canceledText } from './vertex-progress.ts';

interface Wait extends Disposable {
  readonly what: string;
}

/** One call into an operation. The signal is made when somebody asks for it: most calls end without. */
export class OperationCall<C> implements OperationContext<C> {
  readonly progress: ProgressWriter;
  readonly #jobs: () => readonly C[];
  readonly #listeners: ((job: C) => void)[] = [];
  #controller: AbortController | undefined;
  #aborted = false;
  readonly #waits = new Set<Wait>();

  constructor(progress: ProgressWriter, jobs: () => readonly C[]) {
    this.progress = progress;
    this.#jobs = jobs;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(canceled());
    }
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  jobs(): readonly C[] {
    return this.#jobs();
  }

  eachJob(listener: (job: C) => void): void {
    this.#listeners.push(listener);
    for (const job of this.#jobs()) listener(job);
  }

  /** A further job wants what runs. */
  joined(job: C): void {
    for (const listener of this.#listeners) listener(job);
  }

  waitsFor(what: string): Disposable {
    const wait = { what, [Symbol.dispose]: () => void this.#waits.delete(wait) };
    this.#waits.add(wait);
    return wait;
  }

  /** What the operation says that it waits for. */
  get waits(): readonly string[] {
    return [...this.#waits].map(({ what }) => what);
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#controller?.abort(canceled());
  }
}

export function canceled(): KilnError {
  return new KilnError('canceled', canceledText);
}
