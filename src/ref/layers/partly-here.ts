import type { LazyMount, LazyMounts } from '../../lazy-layer/lazy-mounts.ts';
import type { FilePart, PartialFiles } from '../../snapshot/snapshot.ts';
import type { TreeReader } from '../ref.ts';

/** A tree with layers that are mounted, and have not come as a whole. */
export class PartlyHere implements PartialFiles {
  readonly #layers: readonly LazyMount[];
  readonly #mounts: LazyMounts;
  readonly #reader: (signal: AbortSignal | undefined) => TreeReader;

  /** `reader` registers work that reads the tree. */
  constructor(
    layers: readonly LazyMount[],
    mounts: LazyMounts,
    reader: (signal: AbortSignal | undefined) => TreeReader,
  ) {
    this.#layers = layers;
    this.#mounts = mounts;
    this.#reader = reader;
  }

  async bring(parts: readonly FilePart[], signal?: AbortSignal): Promise<void> {
    using _reader = this.#reader(signal);
    await this.#mounts.bring(parts, signal);
  }

  async complete(signal?: AbortSignal): Promise<void> {
    const own = new AbortController();
    const all = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
    try {
      await Promise.all(this.#layers.map((layer) => layer.complete(all)));
    } catch (error) {
      own.abort();
      throw error;
    }
  }
}
