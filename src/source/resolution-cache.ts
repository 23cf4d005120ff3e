import { SingleFlight } from '../base/async/single-flight.ts';
import { type SourceContext, withSignal } from './source.ts';

const capacity = 256;

/**
 * Remembers for each client what names resolved to, so that a build sees one image or file under one name however often it is
 * looked up. Look-ups of one name that run at the same time are one.
 */
export class ResolutionCache<T> {
  readonly #running = new SingleFlight<T>();
  readonly #known = new Map<string, T>();

  /** Calls `load`, whose context ends when nobody asks for the key any more, unless it is known. */
  async get(key: string, context: SourceContext, load: (shared: SourceContext) => Promise<T>): Promise<T> {
    const [session] = context.sessions();
    const full = JSON.stringify([session ?? '', key]);
    const known = this.#known.get(full);
    if (known !== undefined) return known;
    const loaded = await this.#running.run(full, ({ signal }) => load(withSignal(context, signal)), {
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
