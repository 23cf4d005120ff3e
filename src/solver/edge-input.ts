import type { EdgeNode } from './edge-node.ts';
import type { Waiter } from './edge-state.ts';
import type { KeyId } from './key-store.ts';
import { type Level, level } from './level.ts';
import type { CacheInput } from './solver.ts';

/** What an edge knows about one of its inputs, and what it asks of it. */
export class EdgeInput<R, C> implements Waiter {
  readonly owner: EdgeNode<R, C>;
  readonly position: number;
  readonly source: EdgeNode<R, C>;
  readonly cache: CacheInput<R, C>;
  /** The targets of every id that was looked up. */
  readonly answers = new Map<KeyId, readonly KeyId[]>();
  /** All targets found. */
  readonly matched = new Set<KeyId>();
  /** How many of the source's keys were looked up. */
  probed = 0;
  probedImported = 0;
  contentProbed = false;
  contentProbedImported = false;
  /** Nothing more is expected of it in the owner's current phase. */
  closed = false;
  /** Its content key is wanted although its definition matched. */
  pursued = false;
  #asked: Level = level.none;

  constructor(owner: EdgeNode<R, C>, position: number, source: EdgeNode<R, C>, cache: CacheInput<R, C>) {
    this.owner = owner;
    this.position = position;
    this.source = source;
    this.cache = cache;
  }

  get asked(): Level {
    return this.#asked;
  }

  ask(wanted: Level): void {
    if (this.#asked >= wanted) return;
    this.#asked = wanted;
    this.source.want(this, wanted);
  }

  withdraw(): void {
    if (this.#asked === level.none) return;
    this.#asked = level.none;
    this.source.unwant(this);
  }

  woken(): void {
    this.#asked = level.none;
    this.owner.inputChanged(this);
  }

  /** Ids by which the definition identifies the input. */
  get definitionKeys(): readonly KeyId[] {
    return this.cache.contentOnly ? [] : this.source.keys;
  }
}
