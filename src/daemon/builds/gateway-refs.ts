import { KilnError } from '../../base/errors.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';

/** The refs that a build's client was given, by id. They live as long as the build. */
export class GatewayRefs {
  readonly #refs = new Map<string, SolvedRef>();

  add(ref: SolvedRef): string {
    this.#refs.set(ref.id, ref);
    return ref.id;
  }

  /** Throws `not_found`. */
  get(id: string): SolvedRef {
    const ref = this.#refs.get(id);
    if (!ref) throw new KilnError('not_found', `no such ref ${JSON.stringify(id)} in this build`);
    return ref;
  }
}
