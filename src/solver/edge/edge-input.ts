import { type Level, level } from '../graph/level.ts';
import type { EdgePort, VertexPort } from '../graph/node-ports.ts';
import type { Waiter } from '../graph/waiter.ts';
import type { KeyId, KeyLink } from '../key-store.ts';
import type { CacheInput, InputAccount } from '../solver.ts';
import type { Phase } from './edge-state.ts';

/** How far the ids of an input were looked up in one kind of store. */
export interface LookedUp {
  definitions: number;
  content: boolean;
}

/** The edge that an input is one of. */
export interface InputOwner<R, C> {
  readonly vertex: VertexPort<R, C>;
  readonly index: number;
  /** More may be known of the input than before. */
  inputChanged(input: EdgeInput<R, C>): void;
}

/** What an edge knows about one of its inputs, and what it asks of it. */
export class EdgeInput<R, C> implements Waiter {
  readonly owner: InputOwner<R, C>;
  readonly position: number;
  readonly source: EdgePort<R, C>;
  readonly cache: CacheInput<R, C>;
  /** The targets of every id that was looked up. */
  readonly answers = new Map<KeyId, readonly KeyId[]>();
  /** All targets found. */
  readonly matched = new Set<KeyId>();
  readonly lookedUp: LookedUp = { definitions: 0, content: false };
  readonly lookedUpImported: LookedUp = { definitions: 0, content: false };
  /** Nothing more is expected of it in the owner's current pass. */
  closed = false;
  /** Its content key is wanted although its definition matched. */
  #pursued = false;
  #asked: Level = level.none;

  constructor(owner: InputOwner<R, C>, position: number, source: EdgePort<R, C>, cache: CacheInput<R, C>) {
    this.owner = owner;
    this.position = position;
    this.source = source;
    this.cache = cache;
  }

  // What it asks of its source

  get asked(): Level {
    return this.#asked;
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

  /** Opens it for a pass. False: there is nothing to look at before the source has answered. */
  open(phase: Phase | 'result'): boolean {
    this.closed = false;
    this.#pursued = false;
    if (phase === 'content') return true;
    if (this.cache.contentOnly && phase !== 'result') return !this.#mustDigest();
    return !this.#mustWait(level[phase]);
  }

  /** What comes next in a pass, now that all its ids so far were looked up. True: nothing, it can be closed. */
  proceed(phase: Phase | 'result'): boolean {
    switch (phase) {
      case 'definition':
      case 'imported':
        return this.cache.contentOnly ? !this.#mustDigest() : !this.#mustWait(level[phase]);
      case 'content':
        if (this.matched.size > 0 && !this.#pursued) return true;
        if (!this.cache.contentOnly && this.#mustWait(level.content)) return false;
        return !this.#mustDigest();
      case 'result':
        return !this.#mustWait(level.result) && !this.#mustDigest();
    }
  }

  /** Opens it once more, for its content key. False when that is known, or there is none. */
  pursueContent(): boolean {
    if (this.#pursued || !this.#lacksContentKey) return false;
    this.#pursued = true;
    this.closed = false;
    return true;
  }

  #mustWait(wanted: Level): boolean {
    if (this.source.reached >= wanted) return false;
    if (this.#asked < wanted) {
      this.#asked = wanted;
      this.source.want(this, wanted);
    }
    return true;
  }

  get #lacksContentKey(): boolean {
    return this.cache.contentKey !== undefined && !this.#content;
  }

  #mustDigest(): boolean {
    if (!this.#lacksContentKey) return false;
    if (this.#mustWait(level.result)) return true;
    const { outcome } = this.source;
    if (outcome?.kind === 'done') this.owner.vertex.requestContentKey(this.position, outcome.result);
    return true;
  }

  // What it is known by

  get #content() {
    return this.owner.vertex.contentOf(this.position);
  }

  /** Ids by which the definition identifies the input. */
  get #definitionKeys(): readonly KeyId[] {
    return this.cache.contentOnly ? [] : this.source.keys.current;
  }

  /** It was executed by force, and what is known of it identifies older results. */
  get unidentified(): boolean {
    return this.source.keys.current.length === 0 && !this.#content;
  }

  /** The id that stands for it in the owner's key. */
  get identity(): { readonly id: KeyId; readonly selector: KeyLink['selector'] } {
    if (this.#content) return { id: this.#content.key, selector: undefined };
    const { current, forced } = this.source.keys;
    return { id: (current[0] ?? forced[0])!, selector: this.cache.selector };
  }

  /** The ids that were not looked up yet; from now on they count as looked up. */
  takeLinks(lookedUp: LookedUp): KeyLink[] {
    const links: KeyLink[] = [];
    const definitions = this.#definitionKeys;
    for (; lookedUp.definitions < definitions.length; lookedUp.definitions++)
      links.push(this.#link(definitions[lookedUp.definitions]!, this.cache.selector));
    if (this.#content && !lookedUp.content) {
      lookedUp.content = true;
      links.push(this.#link(this.#content.key, undefined));
    }
    return links;
  }

  /** All ids, as ways to the owner's keys. */
  links(): KeyLink[] {
    const { current, forced } = this.source.keys;
    const links: KeyLink[] = [];
    if (!this.cache.contentOnly) {
      for (const key of current) links.push(this.#link(key, this.cache.selector));
      for (const key of forced) links.push(this.#link(key, this.cache.selector));
    }
    if (this.#content) links.push(this.#link(this.#content.key, undefined));
    return links;
  }

  account(): InputAccount {
    return {
      vertex: this.source.vertex.definition.digest,
      output: this.source.index,
      selector: this.cache.selector,
      keys: [...this.#definitionKeys],
      forcedKeys: this.cache.contentOnly ? [] : [...this.source.keys.forced],
      contentKey: this.#content?.digest,
      matched: this.matched.size > 0,
    };
  }

  #link(from: KeyId, selector: KeyLink['selector']): KeyLink {
    const { vertex, index } = this.owner;
    return { from, operation: vertex.cacheMap!.digest, output: index, input: this.position, selector };
  }
}
