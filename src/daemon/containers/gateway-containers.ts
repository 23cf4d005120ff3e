import { Semaphore } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import type { BuildContainer } from '../../engine/containers/build-container.ts';

/** Of one build: each has mounts, trees and a container's directory. */
const maxContainers = 1_000;
/** Calls of `ExecProcess` at a time: clients have one for all their processes, or one for each. */
const maxCalls = 1_000;
/** Files and directories that are read at a time: each may be as large as a message. */
const maxReads = 64;

/** The containers of whoever drives a build through the gateway, by the ids that they gave them. */
export class GatewayContainers {
  readonly #reads = new Semaphore(maxReads);
  #calls = 0;
  /** Undefined while it is being made. */
  readonly #containers = new Map<string, BuildContainer | undefined>();

  /** Counts a call of `ExecProcess`, until what is returned is disposed of. Throws `resource_exhausted`. */
  call(): Disposable {
    if (this.#calls >= maxCalls) {
      throw new KilnError('resource_exhausted', `the build has ${maxCalls} calls that run processes`);
    }
    this.#calls++;
    return { [Symbol.dispose]: () => void this.#calls-- };
  }

  /** Reads something, when there are not too many others who do. */
  async reading<T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    using _permit = await this.#reads.acquire(signal);
    return await read();
  }

  /** Throws `already_exists`, and what `open` fails with. */
  async add(id: string, open: () => Promise<BuildContainer>): Promise<void> {
    if (id === '') throw new KilnError('invalid_argument', 'a container needs an id');
    if (this.#containers.size >= maxContainers) {
      throw new KilnError('resource_exhausted', `the build has ${maxContainers} containers`, {
        hint: 'release those that are not needed any more',
      });
    }
    if (this.#containers.has(id)) throw new KilnError('already_exists', `Container ${id} already exists`);
    this.#containers.set(id, undefined);
    try {
      this.#containers.set(id, await open());
    } catch (error) {
      this.#containers.delete(id);
      throw error;
    }
  }

  /** Throws `not_found`. */
  get(id: string): BuildContainer {
    const container = this.#containers.get(id);
    if (container) return container;
    throw new KilnError('not_found', `container ${JSON.stringify(id)} previously released or not created`);
  }

  /** Forgets it. Throws `not_found`. */
  take(id: string): BuildContainer {
    const container = this.get(id);
    this.#containers.delete(id);
    return container;
  }
}
