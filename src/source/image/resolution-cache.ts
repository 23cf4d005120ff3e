import { SingleFlight } from '../../base/async/single-flight.ts';
import type { SourceContext } from '../source.ts';

const capacity = 256;

/**
 * What names resolved to, for as long as the same client asks: a build sees one image (one file) under one name, however
 * often it is looked up. Look-ups that run at the same time are one.
 */
export class ResolutionCache<T> {
  readonly #running = new SingleFlight<T>();
  readonly #known = new Map<string, T>();

  async get(key: string, context: SourceContext, load: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const [session] = context.sessions();
    const full = JSON.stringify([session ?? '', key]);
    const known = this.#known.get(full);
    if (known !== undefined) return known;
    const loaded = await this.#running.run(full, ({ signal }) => load(signal), {
      signal: context.signal,
    });
    if (session !== undefined) this.#remember(full, loaded);
    return loaded;
  }

  #remember(key: string, value: T): void {
    this.#known.set(key, value);
    const oldest = this.#known.keys().next();
    if (this.#known.size > capacity && !oldest.done) this.#known.delete(oldest.value);
  }
}
