/** What a glob is made of. `admits` is asked about one character (a code point). */
export type GlobStep =
  /** Exactly one character. */
  | { readonly kind: 'one'; readonly admits: (character: number) => boolean }
  /** Any number of characters. */
  | { readonly kind: 'many'; readonly admits: (character: number) => boolean }
  /** The `count` steps that follow may be left out together. */
  | { readonly kind: 'optional'; readonly count: number };

/** One certain character. */
export function literalStep(character: string): GlobStep {
  const code = character.codePointAt(0)!;
  return { kind: 'one', admits: (each) => each === code };
}

/** What is remembered of a glob at most, in words of memory or so: states, their places, and what leads from one to another. */
const memoryLimit = 1 << 15;
const stateSize = 64;
/** Places of a state that is worth remembering: looking for a larger one takes longer than making it again. */
const largestRemembered = 128;

/** All places of a glob where a text can have got to: indexes of steps; their number is the end. */
interface State {
  readonly places: readonly number[];
  readonly accepts: boolean;
  /** Where the next character leads, as far as that is known. A state that is not remembered has none. */
  readonly next?: { readonly near: (State | undefined)[]; readonly far: Map<number, State> };
}

/** Below this the next states are in the array. */
const nearCharacters = 128;

/**
 * Steps that a text is compared with. All ways to match are followed at once, so that the time is at worst that of the text times the
 * number of steps, whoever wrote them; what has been found out is remembered, as far as `memoryLimit` goes, and then a character costs a
 * look-up.
 */
export class Glob {
  readonly #steps: readonly GlobStep[];
  /** For each place the last turn in which it was reached. */
  readonly #reachedIn: Float64Array;
  #turn = 0;
  #states = new Map<string, State>();
  #remembered = 0;
  #start: State;

  constructor(steps: readonly GlobStep[]) {
    this.#steps = steps;
    this.#reachedIn = new Float64Array(steps.length + 1);
    this.#start = this.#stateAt([0]);
  }

  /** Whether the steps match all of a text, or, with `orBefore`, all that comes before such a character in it. */
  matches(text: string, orBefore?: number): boolean {
    let state = this.#start;
    for (let at = 0; at < text.length; ) {
      const character = text.codePointAt(at)!;
      if (character === orBefore && state.accepts) return true;
      at += character > 0xffff ? 2 : 1;
      state = this.#after(state, character);
      if (state.places.length === 0) return false;
    }
    return state.accepts;
  }

  /** Where the longest or the shortest match that begins at `from` ends in `characters`; undefined when none does. */
  endOfMatch(characters: readonly number[], from: number, longest: boolean): number | undefined {
    let state = this.#start;
    let end: number | undefined;
    for (let at = from; state.places.length > 0; at++) {
      if (state.accepts) {
        if (!longest) return at;
        end = at;
      }
      if (at === characters.length) break;
      state = this.#after(state, characters[at]!);
    }
    return end;
  }

  /** For each place between `characters`, whether a match ends there, wherever it begins. */
  endsOfMatches(characters: readonly number[]): boolean[] {
    const anywhere = new Glob([{ kind: 'many', admits: () => true }, ...this.#steps]);
    let state = anywhere.#start;
    return [
      state.accepts,
      ...characters.map((character) => {
        state = anywhere.#after(state, character);
        return state.accepts;
      }),
    ];
  }

  #after(state: State, character: number): State {
    const known = character < nearCharacters ? state.next?.near[character] : state.next?.far.get(character);
    if (known) return known;
    const next: number[] = [];
    for (const place of state.places) {
      const step = this.#steps[place];
      if (!step || step.kind === 'optional' || !step.admits(character)) continue;
      next.push(step.kind === 'one' ? place + 1 : place);
    }
    const after = this.#stateAt(next);
    if (!state.next || !after.next) return after;
    if (character < nearCharacters) state.next.near[character] = after;
    else state.next.far.set(character, after);
    this.#remember(1);
    return after;
  }

  /** `places`, and those that are reached from them without a character. */
  #stateAt(places: readonly number[]): State {
    const turn = ++this.#turn;
    const reached: number[] = [];
    const open: number[] = [];
    for (const place of places) {
      open.push(place);
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        if (this.#reachedIn[at] === turn) continue;
        this.#reachedIn[at] = turn;
        reached.push(at);
        const step = this.#steps[at];
        if (step && step.kind !== 'one') open.push(at + 1);
        if (step?.kind === 'optional') open.push(at + 1 + step.count);
      }
    }
    const accepts = this.#reachedIn[this.#steps.length] === turn;
    if (reached.length > largestRemembered) return { places: reached, accepts };
    const sorted = reached.sort((a, b) => a - b);
    const key = sorted.join();
    const known = this.#states.get(key);
    if (known) return known;
    this.#remember(sorted.length + stateSize);
    const state: State = { places: sorted, accepts, next: { near: [], far: new Map() } };
    this.#states.set(key, state);
    return state;
  }

  /** Counts what is going to be remembered. When it is too much, all that was is forgotten. */
  #remember(words: number): void {
    this.#remembered += words;
    if (this.#remembered <= memoryLimit || this.#states.size === 0) return;
    this.#states = new Map();
    this.#remembered = 0;
    const { places, accepts, next } = this.#start;
    this.#start = { places, accepts, ...(next && { next: { near: [], far: new Map() } }) };
    if (next) this.#states.set(places.join(), this.#start);
  }
}
