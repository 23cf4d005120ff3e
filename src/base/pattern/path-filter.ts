import { type PatternMatch, PatternMatcher } from './pattern.ts';

/** What is known of a path from its parents and itself. */
export interface FilterMatch {
  readonly include: PatternMatch;
  readonly exclude: PatternMatch;
}

export interface FilterPatterns {
  /** Without any, everything is included. */
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
}

/** Decides which paths of a walk are taken: those that are included and not excluded. A walk uses it as it would a `PatternMatcher`. */
export class PathFilter {
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher;

  /** Throws `invalid_argument` naming a malformed pattern. */
  constructor({ includePatterns, excludePatterns }: FilterPatterns) {
    this.#include = includePatterns.length > 0 ? new PatternMatcher(includePatterns) : undefined;
    this.#exclude = new PatternMatcher(excludePatterns);
  }

  get takesAll(): boolean {
    return this.#include === undefined && this.#exclude.isEmpty;
  }

  /** The match of the root. */
  get start(): FilterMatch {
    return { include: (this.#include ?? this.#exclude).start, exclude: this.#exclude.start };
  }

  /** Returns the match of `path`, given that of its parent directory. */
  enter(parent: FilterMatch, path: string): FilterMatch {
    return {
      include: this.#include?.enter(parent.include, path) ?? parent.include,
      exclude: this.#exclude.enter(parent.exclude, path),
    };
  }

  /** Returns whether a path with this match is taken. */
  takes({ include, exclude }: FilterMatch): boolean {
    return (this.#include?.selects(include) ?? true) && !this.#exclude.selects(exclude);
  }

  /** Returns whether nothing below the directory `path`, which is not taken itself, is taken. Returns false when in doubt. */
  takesNothingBelow({ include, exclude }: FilterMatch, path: string): boolean {
    const isIncluded = this.#include?.selects(include) ?? true;
    if (!isIncluded && this.#include!.isUniformBelow(include, path)) return true;
    return this.#exclude.selects(exclude) && this.#exclude.isUniformBelow(exclude, path);
  }
}
