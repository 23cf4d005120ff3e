import type { Digest } from '../../base/digest.ts';
import type { RequestAccount } from '../../provenance/request-account.ts';

/** The requests by identity, with the number of their uses. */
type Producers = Map<Digest, { readonly request: RequestAccount; uses: number }>;

/**
 * Which requests the results of running builds came from, by the digest of the vertex that a result is of. A client that gives a result
 * to another request as an input sends its definition only.
 */
export class RequestIndex {
  readonly #producers = new Map<Digest, Producers>();

  /** Notes a result until what this returns is disposed. */
  add(result: Digest, request: RequestAccount): Disposable {
    const requests: Producers = this.#producers.get(result) ?? new Map();
    this.#producers.set(result, requests);
    const known = requests.get(request.identity) ?? { request, uses: 0 };
    requests.set(request.identity, known);
    known.uses++;
    return {
      [Symbol.dispose]: () => {
        if (--known.uses > 0) return;
        requests.delete(request.identity);
        if (requests.size === 0) this.#producers.delete(result);
      },
    };
  }

  /** The request that a result came from; undefined when there is none, or several that differ. */
  find(result: Digest): RequestAccount | undefined {
    const requests = this.#producers.get(result);
    if (requests?.size !== 1) return undefined;
    return [...requests.values()][0]!.request;
  }
}
