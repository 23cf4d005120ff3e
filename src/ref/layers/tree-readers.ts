import type { LazyMount } from '../../lazy-layer/lazy-mounts.ts';
import type { SnapshotId } from '../../snapshot/snapshot.ts';
import type { TreeReader } from '../ref.ts';

type ReadLayer = Pick<LazyMount, 'failure' | 'giveUp' | 'resume'>;

/** Who reads trees whose layers may be mounted, so that no thread waits for files of a layer that nobody reads any more. */
export class TreeReaders {
  readonly #mountOf: (id: SnapshotId) => ReadLayer | undefined;
  readonly #readers = new Set<ReadonlySet<SnapshotId>>();

  constructor(mountOf: (id: SnapshotId) => ReadLayer | undefined) {
    this.#mountOf = mountOf;
  }

  /** Registers work that reads these snapshots, until it is disposed or `signal` aborts. They need not be mounted yet. */
  add(snapshots: readonly SnapshotId[], signal: AbortSignal | undefined): TreeReader {
    const began = performance.now();
    const own = new Set(snapshots);
    const leave = () => {
      signal?.removeEventListener('abort', leave);
      if (!this.#readers.delete(own)) return;
      for (const id of own) {
        if (!this.#readers.values().some((other) => other.has(id))) this.#mountOf(id)?.giveUp();
      }
    };
    this.#readers.add(own);
    for (const id of own) this.#mountOf(id)?.resume();
    if (signal?.aborted) leave();
    else signal?.addEventListener('abort', leave, { once: true });
    return {
      failure: () => {
        const failures = snapshots.flatMap((id) => this.#mountOf(id)?.failure ?? []);
        return failures.find(({ at }) => at >= began)?.error;
      },
      [Symbol.dispose]: leave,
    };
  }
}
