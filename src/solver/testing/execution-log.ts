import assert from 'node:assert/strict';
import type { ModelVertex } from './random-graph.ts';

/** Under way until it is disposed. */
export interface Execution extends Disposable {
  /** It went to its end, and what it made must be found from now on. */
  completed(vertex: ModelVertex, seen: readonly string[]): void;
}

/**
 * The executions of one solver. One that nobody needs any more is aborted, and may have to run again; so may one whose
 * outputs are lost.
 */
export class ExecutionLog {
  /** Who did it, by what was done. */
  readonly #completed = new Map<string, readonly ModelVertex[]>();
  #running = 0;

  begin(): Execution {
    this.#running++;
    return {
      completed: (vertex, seen) => {
        const work = workOf(vertex.operation, seen);
        this.#completed.set(work, [...(this.#completed.get(work) ?? []), vertex]);
      },
      [Symbol.dispose]: () => {
        this.#running--;
      },
    };
  }

  /** The cache has lost something that came of `work`. Where contents vary, outputs of one vertex come of several works. */
  lost(work: string): void {
    this.#completed.delete(work);
    for (const [other, vertices] of this.#completed)
      if (vertices.some(({ varies }) => varies)) this.#completed.delete(other);
  }

  assertNothingRuns(): void {
    assert.equal(this.#running, 0, 'a closed job left executions behind');
  }

  assertNothingRanTwice(): void {
    for (const [work, vertices] of this.#completed) {
      const names = vertices.map(({ name }) => name);
      assert.equal(names.length, 1, `${names.join(' and ')} do the same, and all did it: ${work}`);
    }
  }
}

/** Equal work is done once. */
export function workOf(operation: string, seen: readonly string[]): string {
  return JSON.stringify([operation, seen]);
}
