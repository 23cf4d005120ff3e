import { deferred } from '../base/async/lifetime.ts';
import type { EdgeNode } from './edge-node.ts';
import type { Waiter } from './edge-state.ts';
import { level } from './level.ts';
import type { ResultTraits, Solved } from './solver.ts';

/** One call of `Job.build` that has not been answered. */
export class BuildRequest<R, C> implements Waiter {
  readonly #edge: EdgeNode<R, C>;
  readonly #traits: ResultTraits<R>;
  readonly #answer = deferred<Solved<R>>();

  constructor(edge: EdgeNode<R, C>, traits: ResultTraits<R>) {
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
    const { state, keys } = this.#edge;
    if (state.kind === 'done') {
      try {
        const result = this.#traits.clone(state.result);
        this.#answer.resolve({ result, keys: [...keys.current, ...keys.forced], cached: state.cached });
      } catch (error) {
        this.#answer.reject(error);
      }
    } else if (state.kind === 'failed') this.#answer.reject(state.error);
  }
}
