import { mapLimit } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { recordDigest, recordOfKey } from '../../solver/cache-key.ts';
import type { KnownEdge } from '../../solver/solver.ts';
import type { ConfigLink } from '../config/cache-config.ts';

/** A result of a build, with how it is known. */
export interface BuiltResult {
  /** The tree, borrowed; undefined for the empty one. */
  readonly ref: ImmutableRef | undefined;
  /** See `Job.known`. */
  readonly known: readonly KnownEdge<ImmutableRef>[];
}

/** `min`: the steps whose layers the results have. `max`: all steps. */
export type CacheMode = 'min' | 'max';

/** A record with the tree that is its result. */
export interface CollectedRecord {
  readonly digest: Digest;
  readonly inputs: readonly (readonly ConfigLink[])[];
  readonly result: { readonly ref: ImmutableRef; readonly createdAt: Date } | undefined;
}

const searchesAtOnce = 16;

/**
 * Collects the records of results: those with trees, and those that lead to them, each after those that lead to it. The order follows
 * from definitions and contents alone, so that equal builds give equal configs. `own` gets the trees, to be released.
 */
export async function collectRecords(
  results: readonly BuiltResult[],
  mode: CacheMode,
  own: (ref: ImmutableRef) => void,
  signal: AbortSignal,
): Promise<readonly CollectedRecord[]> {
  const records = new Records();
  for (const { ref, known } of results) {
    const wanted = mode === 'min' ? new Set(ref?.layers().map(({ id }) => id)) : undefined;
    const found = await mapLimit(
      known,
      searchesAtOnce,
      async (edge) => {
        const result = edge.inputs.length > 0 ? await edge.find() : undefined;
        if (!result) return undefined;
        own(result.result);
        const layers = result.result.layers();
        const isWanted = layers.length > 0 && layers.every(({ id }) => !wanted || wanted.has(id));
        return isWanted ? { ref: result.result, createdAt: result.createdAt } : undefined;
      },
      signal,
    );
    records.add(known, found);
  }
  return records.leadingToResults();
}

class Records {
  readonly #records: CollectedRecord[] = [];
  /** By all that they say but their results. */
  readonly #positions = new Map<string, number>();

  add(known: readonly KnownEdge<ImmutableRef>[], results: readonly CollectedRecord['result'][]): void {
    const positions: (readonly number[])[] = [];
    for (const [index, edge] of known.entries())
      positions.push(this.#addEdge(edge, results[index], positions));
  }

  /** The records of an edge: one for each of its names if it is a source; none if some input has none. */
  #addEdge(
    { operation, alternatives, output, inputs }: KnownEdge<ImmutableRef>,
    result: CollectedRecord['result'],
    positions: readonly (readonly number[])[],
  ): readonly number[] {
    const digests = [operation, ...(inputs.length === 0 ? alternatives : [])].map((each) =>
      recordDigest(each, output),
    );
    const links = inputs.map(({ edge, selector = '', contents }) => [
      ...(edge === undefined ? [] : positions[edge]!).map((record) => ({ selector, record })),
      ...contents
        .map((key) => recordOfKey(key))
        .filter((digest) => digest !== undefined)
        .sort()
        .map((digest) => ({ selector: '', record: this.#addRecord(digest, [], undefined) })),
    ]);
    if (links.some((input) => input.length === 0)) return [];
    return digests.map((digest) => this.#addRecord(digest, links, result));
  }

  #addRecord(digest: Digest, inputs: CollectedRecord['inputs'], result: CollectedRecord['result']): number {
    const text = `${digest} ${JSON.stringify(inputs)}`;
    const known = this.#positions.get(text);
    if (known === undefined) {
      this.#positions.set(text, this.#records.length);
      return this.#records.push({ digest, inputs, result }) - 1;
    }
    const record = this.#records[known]!;
    if (!record.result && result) this.#records[known] = { ...record, result };
    return known;
  }

  /** Leaves out what no result depends on. */
  leadingToResults(): readonly CollectedRecord[] {
    const needed = new Set<number>();
    for (const [index, { result, inputs }] of [...this.#records.entries()].reverse()) {
      if (!result && !needed.has(index)) continue;
      needed.add(index);
      for (const input of inputs) for (const { record } of input) needed.add(record);
    }
    const kept = [...needed].sort((a, b) => a - b);
    const positions = new Map(kept.map((position, index) => [position, index]));
    return kept.map((position) => {
      const { inputs, ...record } = this.#records[position]!;
      const moved = inputs.map((input) =>
        input.map((link) => ({ ...link, record: positions.get(link.record)! })),
      );
      return { ...record, inputs: moved };
    });
  }
}
