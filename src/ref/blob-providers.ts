import { firstAnswer } from '../base/async/first-answer.ts';
import type { FlightContext } from '../base/async/single-flight.ts';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { ProgressWriter } from '../base/progress.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { BlobProvider } from './ref.ts';

/** Of one blob; of more than these the ones named first are forgotten. */
const mostProviders = 16;

/**
 * Who can bring which blobs. Several may have named the same blob, each on behalf of another client, and none of them is
 * trusted: one that fails gives way to the next, and beside one that brings little another is asked.
 */
export class BlobProviders {
  /** Those named last first. */
  readonly #providers = new Map<Digest, readonly BlobProvider[]>();
  readonly #patience: number;

  /** `patience`: after how many milliseconds it is looked whether enough has come. */
  constructor(patience: number) {
    this.#patience = patience;
  }

  add(digest: Digest, provider: BlobProvider): void {
    // What nobody waits for any more says the same as a newer one of its origin.
    const others = this.#present(digest).filter(
      (other) => other !== provider && !(other.isIdle?.() && other.origin === provider.origin),
    );
    this.#providers.set(digest, [provider, ...others].slice(0, mostProviders));
  }

  forget(digest: Digest): void {
    this.#providers.delete(digest);
  }

  /** Whether somebody is there who may have the blob. */
  has(digest: Digest): boolean {
    return this.#present(digest).length > 0;
  }

  /** Throws `not_found` when nobody has named the blob, and what the first says when all fail. */
  async fetch(descriptor: Descriptor, context: FlightContext): Promise<void> {
    const { digest } = descriptor;
    const present = this.#present(digest);
    // One that is gone says best that it is.
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

  #present(digest: Digest): readonly BlobProvider[] {
    return (this.#providers.get(digest) ?? []).filter((provider) => !provider.isGone?.());
  }
}

/** Fewer, in the time of the patience, are as good as none. */
const expectedBytes = 1024 * 1024;

async function fetchFromAny(
  descriptor: Descriptor,
  providers: readonly BlobProvider[],
  { signal, progress }: FlightContext,
  patience: number,
): Promise<void> {
  /** The most that one of them has brought, and had brought when that was looked at last. */
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
