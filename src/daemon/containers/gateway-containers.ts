import { KilnError } from '../../base/errors.ts';
import type { BuildContainer } from '../../engine/containers/build-container.ts';

/** The containers of whoever drives a build through the gateway, by the ids that they gave them. */
export class GatewayContainers {
  /** Undefined while it is being made. */
  readonly #containers = new Map<string, BuildContainer | undefined>();

  /** Throws `already_exists`, and what `open` fails with. */
  async add(id: string, open: () => Promise<BuildContainer>): Promise<void> {
    if (id === '') throw new KilnError('invalid_argument', 'a container needs an id');
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
