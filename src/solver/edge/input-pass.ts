import type { KilnError } from '../../base/errors.ts';
import type { EdgeInput } from './edge-input.ts';
import type { Phase } from './edge-state.ts';
import type { KeyLookup } from './key-lookup.ts';
import type { StoreCall } from './store-call.ts';

/** What came of the inputs that had news. */
export type News =
  | { readonly kind: 'taken' }
  | { readonly kind: 'look-up'; readonly call: StoreCall }
  | { readonly kind: 'failure'; readonly error: KilnError };

/**
 * A pass over the inputs of an edge, one for each phase of matching and one to compute them: opens all, lets each
 * proceed when it has news, until it is closed.
 */
export class InputPass<R, C> {
  readonly inputs: readonly EdgeInput<R, C>[];
  readonly #lookup: KeyLookup<R, C>;
  #phase: Phase | 'result' = 'definition';
  #changed: EdgeInput<R, C>[] = [];
  #open = 0;
  #missed = false;

  constructor(inputs: readonly EdgeInput<R, C>[], lookup: KeyLookup<R, C>) {
    this.inputs = inputs;
    this.#lookup = lookup;
  }

  begin(phase: Phase | 'result'): void {
    this.#phase = phase;
    this.#open = this.inputs.length;
    this.#missed = false;
    this.#changed = [];
    for (const input of this.inputs) if (input.open(phase)) this.#changed.push(input);
  }

  /** Asks nothing of the inputs any more. */
  withdraw(): void {
    this.#changed = [];
    for (const input of this.inputs) input.withdraw();
  }

  /** Some input is known to lead nowhere. */
  get missed(): boolean {
    return this.#missed;
  }

  get complete(): boolean {
    return this.#open === 0;
  }

  changed(input: EdgeInput<R, C>): void {
    this.#changed.push(input);
  }

  /** Lets every input with news proceed; one that has ids to look up proceeds after that. */
  takeNews(looksUp: boolean): News {
    while (this.#changed.length > 0) {
      const changed = this.#changed;
      for (const {
        source: { outcome },
      } of changed)
        if (outcome?.kind === 'failed') return { kind: 'failure', error: outcome.error };
      const call = looksUp ? this.#lookup.of(changed) : undefined;
      if (call) return { kind: 'look-up', call };
      this.#changed = [];
      for (const input of changed) this.#proceed(input);
    }
    return { kind: 'taken' };
  }

  #proceed(input: EdgeInput<R, C>): void {
    if (input.closed || !input.proceed(this.#phase)) return;
    input.closed = true;
    this.#open--;
    if (input.matched.size === 0) this.#missed = true;
  }

  /** All inputs match, but not each other, or the keys have no result left: content may tell more than definitions did. */
  pursueContent(): boolean {
    for (const input of this.inputs) {
      if (!input.pursueContent()) continue;
      this.#open++;
      this.#changed.push(input);
    }
    return this.#changed.length > 0;
  }
}
