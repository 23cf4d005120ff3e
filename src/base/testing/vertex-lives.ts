import assert from 'node:assert/strict';

/** What a client is told of a vertex. Times in milliseconds. */
interface ShownVertex {
  readonly digest: string;
  readonly started: number | undefined;
  readonly completed: number | undefined;
}

/**
 * For tests: the vertices of a build as BuildKit's clients count them. They know a run of a vertex by when it started, take what is said
 * last of each run, and show the vertex as done once every run has ended.
 */
export class VertexLives {
  /** By digest: the starts of its runs, and whether each has ended. */
  readonly #runs = new Map<string, Map<number, boolean>>();
  readonly #problems: string[] = [];

  vertex({ digest, started, completed }: ShownVertex): void {
    const runs = this.#runs.get(digest) ?? new Map<number, boolean>();
    this.#runs.set(digest, runs);
    if (started !== undefined) runs.set(started, completed !== undefined);
    if (completed !== undefined && (started === undefined || completed < started)) {
      this.#problems.push(`${digest} ended before it started`);
    }
  }

  /** A line of log, or a status that its work gave. */
  output(digest: string): void {
    const runs = this.#runs.get(digest);
    if (!runs) this.#problems.push(`${digest} says something before it is known`);
    else if (runs.size > 0 && [...runs.values()].every((ended) => ended)) {
      this.#problems.push(`${digest} says something after its end`);
    }
  }

  /** Every run has ended, and nothing was said after the last. */
  assertOver(): void {
    for (const [digest, runs] of this.#runs) {
      for (const ended of runs.values()) if (!ended) this.#problems.push(`${digest} started and did not end`);
    }
    assert.deepEqual(this.#problems, []);
  }
}
