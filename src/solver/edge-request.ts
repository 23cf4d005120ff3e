import { deferred } from '../base/async/lifetime.ts';
import { level } from './graph/level.ts';
import type { EdgePort } from './graph/node-ports.ts';
import type { Waiter } from './graph/waiter.ts';
import type { ResultTraits, Solved } from './solver.ts';

/** One call of `Job.build` that has not been answered. */
export class EdgeRequest<R, C> implements Waiter {
  readonly #edge: EdgePort<R, C>;
  readonly #traits: ResultTraits<R>;
  readonly #answer = deferred<Solved<R>>();

  constructor(edge: EdgePort<R, C>, traits: ResultTraits<R>) {
    this.#edge = edge;
    this.#traits = traits;
  }

  start(): Promise<Solved<R>> {
    this.#edge.want(this, level.result);
    return this.#answer.promise;
  }

  cancel(error: Error): void {
    this.#edge.unwant(this);
    this.#answer.reject(error);
  }

  woken(): void {
    const { outcome, keys } = this.#edge;
    if (outcome?.kind === 'done') {
      try {
        const result = this.#traits.clone(outcome.result);
        this.#answer.resolve({ result, keys: [...keys.current, ...keys.forced], cached: outcome.cached });
      } catch (error) {
        this.#answer.reject(error);
      }
    } else if (outcome?.kind === 'failed') this.#answer.reject(outcome.error);
  }
}
