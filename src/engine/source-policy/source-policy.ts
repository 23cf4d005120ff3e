/** Rules for the sources of a build: which may be used, and which are replaced by others. */
export interface SourcePolicy {
  readonly rules: readonly SourceRule[];
}

export type SourceRule =
  /** The last of these rules that matches a source decides about it. */
  | { readonly action: 'allow' | 'deny'; readonly selector: SourceSelector }
  /** Replaces a source; the rules are then followed from the start for what it became. */
  | { readonly action: 'convert'; readonly selector: SourceSelector; readonly update: SourceUpdate };

export interface SourceSelector {
  /**
   * The identifiers that it matches, scheme included: this one alone; with `wildcard`, any text in the place of each `*`; with
   * `regex`, those of which some part matches this expression.
   */
  readonly identifier: string;
  readonly match: 'wildcard' | 'exact' | 'regex';
  /** All of them have to hold. */
  readonly constraints: readonly AttributeConstraint[];
}

/** A source without the attribute has it empty. */
export interface AttributeConstraint {
  readonly key: string;
  readonly value: string;
  readonly condition: 'equal' | 'not-equal' | 'matches';
}

export interface SourceUpdate {
  /** Empty to keep it. `${1}` is what the first `*` stood for, or the first group of the expression; `$$` is a dollar sign. */
  readonly identifier: string;
  /** Set in addition to those that the source has. */
  readonly attrs: Readonly<Record<string, string>>;
}
