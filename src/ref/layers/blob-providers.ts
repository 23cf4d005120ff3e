import { firstAnswer } from '../../base/async/first-answer.ts';
import { type FlightContext, SingleFlight } from '../../base/async/single-flight.ts';
import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ProgressWriter, WaitContext } from '../../base/progress.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { BlobProvider } from '../layer-import.ts';

/** The number of providers that are kept per blob; the oldest go first. */
const mostProviders = 16;

/**
 * The providers of blobs. Several may have named the same blob, each on behalf of another client, and none of them is
 * trusted: when one fails the next is asked, and when one is slow the next is asked beside it.
 */
export class BlobProviders {
  /** The latest first. */
  readonly #providers = new Map<Digest, readonly BlobProvider[]>();
  readonly #patience: number;
  readonly #fetching = new SingleFlight<void>();

  /** `patience`: the milliseconds in which a provider must fetch `expectedBytes`. */
  constructor(patience: number) {
    this.#patience = patience;
  }

  add(digest: Digest, provider: BlobProvider): void {
    // An idle provider can do no more than a newer one of the same origin.
    const others = this.#present(digest).filter(
      (other) => other !== provider && !(other.isIdle?.() && other.origin === provider.origin),
    );
    this.#providers.set(digest, [provider, ...others].slice(0, mostProviders));
  }

  forget(digest: Digest): void {
    this.#providers.delete(digest);
  }

  /** Returns whether anybody who is not gone provides the blob. */
  has(digest: Digest): boolean {
    return this.#present(digest).length > 0;
  }

  /**
   * Has a blob brought, once for all who ask at a time. Throws `not_found` when nobody has named the blob, and the error of the first provider when
   * all fail.
   */
  fetch(descriptor: Descriptor, context: WaitContext): Promise<void> {
    return this.#fetching.run(descriptor.digest, (flight) => this.#fetch(descriptor, flight), context);
  }

  async #fetch(descriptor: Descriptor, context: FlightContext): Promise<void> {
    const { digest } = descriptor;
    const present = this.#present(digest);
    // A provider that is gone has the best error for it.
    const providers = present.length > 0 ? present : (this.#providers.get(digest) ?? []).slice(0, 1);
    if (providers.length === 0) {
      throw new KilnError('not_found', `blob ${digest} is not in the content store any more`, {
        hint: 'build again without the cache to make it afresh',
      });
    }
    const inOrder = [
      ...providers.filter((provider) => !provider.isIdle?.()),
      ...providers.filter((provider) => provider.isIdle?.()),
    ];
    await fetchFromAny(descriptor, inOrder, context, this.#patience);
  }

  /** Returns whether anybody who is not gone can be asked for a part of the blob. */
  canRead(digest: Digest): boolean {
    return this.#present(digest).some((provider) => provider.read !== undefined);
  }

  /** Reads a part of a blob from the first provider that gives it. Throws `not_found` when there is none, and the error of the first when all fail. */
  async read(
    descriptor: Descriptor,
    range: { readonly offset: number; readonly length: number },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const able = this.#present(descriptor.digest).filter((provider) => provider.read !== undefined);
    const inOrder = [...able.filter((each) => !each.isIdle?.()), ...able.filter((each) => each.isIdle?.())];
    let failure: unknown;
    for (const provider of inOrder) {
      try {
        return await provider.read!(descriptor, range, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        failure ??= error;
      }
    }
    throw (
      failure ??
      new KilnError('not_found', `nobody provides blob ${descriptor.digest} any more`, {
        hint: 'build something from the image that has it, so that it is known where to get it',
      })
    );
  }

  #present(digest: Digest): readonly BlobProvider[] {
    return (this.#providers.get(digest) ?? []).filter((provider) => !provider.isGone?.());
  }
}

/** A provider that fetches fewer bytes during `patience` is slow. */
const expectedBytes = 1024 * 1024;

async function fetchFromAny(
  descriptor: Descriptor,
  providers: readonly BlobProvider[],
  { signal, progress }: FlightContext,
  patience: number,
): Promise<void> {
  /** The most bytes that one of them has fetched: now, and when `isLate` was called last. */
  let arrived = 0;
  let seen = 0;
  const watched: ProgressWriter = {
    ...progress,
    status(event) {
      arrived = Math.max(arrived, event.current ?? 0);
      progress.status(event);
    },
  };
  const isLate = () => {
    const since = arrived - seen;
    seen = arrived;
    return since < expectedBytes;
  };
  const answer = await firstAnswer(
    providers,
    (provider, own) => provider.fetch(descriptor, { signal: own, progress: watched }),
    { signal, patience, isLate },
  );
  if (answer.kind === 'failed') throw answer.failures[0];
}
