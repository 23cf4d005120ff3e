import { type Platform, parsePlatform } from '../../../../base/platform.ts';
import { atSource, locateIn } from '../../dockerfile-error.ts';
import { type Expansion, expandWord, type Variables } from '../../expand/expand-word.ts';
import type { GrowthLimit } from '../../expand/growth-limit.ts';
import type { Linter } from '../../lint/linter.ts';
import { lintRules } from '../../lint/rules.ts';
import { didYouMean } from '../../nearest.ts';
import type { Dockerfile, FromInstruction } from '../../parse/instruction-tree.ts';
import { variablesOf } from './global-args.ts';

/** `suggestion` names the variable that an unset one was probably meant to be: ` (did you mean X?)`, or nothing. */
export interface FromExpansion extends Expansion {
  readonly suggestion: string;
}

/** The words of `FROM` instructions, in which the global `ARG`s are expanded. */
export class FromWords {
  readonly #dockerfile: Dockerfile;
  readonly #globalArgs: ReadonlyMap<string, string>;
  readonly #growth: GrowthLimit;
  readonly #linter: Linter;
  readonly #used = new Map<FromInstruction, ReadonlySet<string>>();
  #declaredNames: ReadonlySet<string> | undefined;

  constructor(
    dockerfile: Dockerfile,
    globalArgs: ReadonlyMap<string, string>,
    growth: GrowthLimit,
    linter: Linter,
  ) {
    this.#dockerfile = dockerfile;
    this.#globalArgs = globalArgs;
    this.#growth = growth;
    this.#linter = linter;
  }

  /** The arguments that were expanded in an instruction. */
  usedIn(from: FromInstruction): ReadonlySet<string> {
    return this.#used.get(from) ?? new Set();
  }

  /** Expands a word of `FROM`, and reports what is wrong with its variables. Throws with the place. */
  expand(word: string, from: FromInstruction): FromExpansion {
    const variables = this.#growth.count(variablesOf(this.#globalArgs));
    const linter = this.#linter.for(from.comments);
    const expansion = (() => {
      try {
        return expandWord(this.#dockerfile.words.get(word), variables, {
          locate: locateIn(word, from.places, this.#dockerfile.source),
        });
      } catch (error) {
        throw atSource(error, this.#dockerfile.source, [from.range]);
      }
    })();
    this.#used.set(from, new Set([...(this.#used.get(from) ?? []), ...expansion.matched]));
    const declared = this.#declared;
    for (const name of expansion.unmatched) {
      if (declared.has(name)) continue;
      linter.report(
        lintRules.undefinedArgInFrom,
        from.range,
        `FROM argument '${name}' is not declared${didYouMean(name, declared)}`,
      );
    }
    if (word === from.flags.platform) checkPlatformFlag(word, from, expansion, variables, linter);
    const suggestions = [...expansion.unmatched].map((name) => didYouMean(name, this.#globalArgs.keys()));
    return { ...expansion, suggestion: suggestions.find(Boolean) ?? '' };
  }

  /** Collected once: there may be as many `FROM`s as arguments. */
  get #declared(): ReadonlySet<string> {
    this.#declaredNames ??= new Set([
      ...this.#globalArgs.keys(),
      ...this.#dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)),
    ]);
    return this.#declaredNames;
  }
}

function checkPlatformFlag(
  word: string,
  { range, name = '' }: FromInstruction,
  { text, matched, unmatched }: Expansion,
  variables: Variables,
  linter: Linter,
): void {
  if (matched.size === 1 && unmatched.size === 0 && text === variables.get('TARGETPLATFORM')) {
    if (matched.has('TARGETPLATFORM')) {
      linter.report(
        lintRules.redundantTargetPlatform,
        range,
        `Setting platform to predefined ${word} in FROM is redundant as this is the default behavior`,
      );
    }
    return;
  }
  if (matched.size > 0 || unmatched.size > 0) return;
  let platform: Platform;
  try {
    platform = parsePlatform(text);
  } catch {
    return;
  }
  // A stage whose name tells the platform is meant for it.
  if (name.includes(platform.os) || name.includes(platform.architecture)) return;
  linter.report(
    lintRules.fromPlatformFlagConstDisallowed,
    range,
    `FROM --platform flag should not use constant value ${JSON.stringify(text)}`,
  );
}
