import type { StepNetwork } from './step-networks.ts';

export interface NetworkPoolOptions {
  /** How many networks are kept ready. */
  readonly size: number;
  readonly make: () => Promise<StepNetwork>;
  /** Told when a network cannot be made ready. Whoever takes one next tries again. */
  readonly onProblem: (error: unknown) => void;
}

/**
 * Networks that are made before anybody wants them, one at a time, whenever there are fewer than there should be. Each is given away once: what one step leaves in
 * a network, the next does not find.
 */
export class NetworkPool implements AsyncDisposable {
  readonly #options: NetworkPoolOptions;
  readonly #ready: StepNetwork[] = [];
  #filling: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: NetworkPoolOptions) {
    this.#options = options;
  }

  /** One that is ready, if there is. */
  take(): StepNetwork | undefined {
    const network = this.#ready.shift();
    this.fill();
    return network;
  }

  /** Makes what is missing, in the background. */
  fill(): void {
    if (this.#isClosed || this.#filling) return;
    this.#filling = this.#fill().finally(() => {
      this.#filling = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#filling;
    for (const network of this.#ready.splice(0)) await network[Symbol.asyncDispose]();
  }

  async #fill(): Promise<void> {
    while (!this.#isClosed && this.#ready.length < this.#options.size) {
      // What runs now goes first.
      await new Promise((resolve) => setImmediate(resolve));
      try {
        this.#ready.push(await this.#options.make());
      } catch (error) {
        this.#options.onProblem(error);
        return;
      }
    }
  }
}
