import { type Deferred, deferred } from '../../base/async/lifetime.ts';

/** Work that has begun and not ended. */
export class UnderWay {
  readonly #works = new Set<Work>();

  /** The caller disposes what it gets when the work has ended. */
  begin(): Disposable {
    const work = new Work((ended) => this.#works.delete(ended));
    this.#works.add(work);
    return work;
  }

  get none(): boolean {
    return this.#works.size === 0;
  }

  /** Waits for the work that is under way now, not for work that begins meanwhile. */
  async settled(): Promise<void> {
    await Promise.all([...this.#works].map((work) => work.ended()));
  }
}

class Work implements Disposable {
  readonly #onEnd: (work: Work) => void;
  #ended: Deferred<void> | undefined;

  constructor(onEnd: (work: Work) => void) {
    this.#onEnd = onEnd;
  }

  ended(): Promise<void> {
    this.#ended ??= deferred();
    return this.#ended.promise;
  }

  [Symbol.dispose](): void {
    this.#onEnd(this);
    this.#ended?.resolve();
  }
}
