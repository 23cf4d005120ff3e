import assert from 'node:assert/strict';
import type { ResultStore, ResultTraits } from '../solver.ts';

/** A handle to a result that is nothing but its content. */
export interface CountedResult {
  readonly id: string;
  readonly content: string;
  released: boolean;
}

/** Results whose every handle is accounted for: none is used after its release, released twice, or forgotten. */
export class CountedResults implements ResultTraits<CountedResult>, ResultStore<CountedResult> {
  /** Contents by id: what the result store has. */
  readonly #kept = new Map<string, string>();
  #handles = 0;
  #nextId = 1;

  get handles(): number {
    return this.#handles;
  }

  create(content: string): CountedResult {
    const id = `result ${this.#nextId++}`;
    this.#kept.set(id, content);
    return this.#handle(id, content);
  }

  clone(result: CountedResult): CountedResult {
    this.use(result);
    return this.#handle(result.id, result.content);
  }

  async release(result: CountedResult): Promise<void> {
    assert(!result.released, `${result.id} (${result.content}) was released twice`);
    result.released = true;
    this.#handles--;
  }

  idOf(result: CountedResult): string {
    return result.id;
  }

  async load(id: string): Promise<CountedResult | undefined> {
    const content = this.#kept.get(id);
    return content === undefined ? undefined : this.#handle(id, content);
  }

  /** The content; throws when the handle was released. */
  use(result: CountedResult): string {
    assert(!result.released, `${result.id} (${result.content}) was used after its release`);
    return result.content;
  }

  /** What the result store has under an id, without a handle. */
  contentOf(id: string): string | undefined {
    return this.#kept.get(id);
  }

  /** The store loses the results for which `which` is true; returns their contents. */
  prune(which: (content: string) => boolean): string[] {
    const lost: string[] = [];
    for (const [id, content] of this.#kept) {
      if (!which(content)) continue;
      this.#kept.delete(id);
      lost.push(content);
    }
    return lost;
  }

  #handle(id: string, content: string): CountedResult {
    this.#handles++;
    return { id, content, released: false };
  }
}
