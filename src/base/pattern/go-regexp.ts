import { RE2JS } from 're2js';
import { KilnError } from '../errors.ts';
import { ownValue } from '../own-value.ts';

/** A match of an expression. */
export interface GoMatch {
  readonly start: number;
  readonly end: number;
  /** The text of a group, by number (0 is the whole match) or by name; undefined when it took no part, or does not exist. */
  group(name: string): string | undefined;
}

/**
 * A regular expression that somebody else wrote, in the syntax and with the meaning of Go's `regexp` (RE2), which the programs have
 * that people write them for. It is matched in time linear in the text; JavaScript's own engine tries one way after the other, and some
 * expressions have more ways than there is time.
 */
export class GoRegexp {
  readonly #expression: RE2JS;

  /** Throws `invalid_argument` naming the expression. */
  constructor(text: string) {
    try {
      this.#expression = RE2JS.compile(text);
    } catch (cause) {
      throw new KilnError(
        'invalid_argument',
        `invalid regular expression ${JSON.stringify(text)}: ${(cause as Error).message}`,
        { cause, hint: 'write it in the syntax of Go, which has no look-around and no back-references' },
      );
    }
  }

  /** Whether it matches anywhere in a text. */
  matches(text: string): boolean {
    return this.#expression.matcher(text).find();
  }

  /** `text` with each match replaced, as Go's `ReplaceAllString` does it: nothing is no match where one has just ended. */
  replace(text: string, replacement: (match: GoMatch) => string): string {
    const matcher = this.#expression.matcher(text);
    const names: Readonly<Record<string, number>> = this.#expression.namedGroups();
    const count = this.#expression.groupCount();
    let result = '';
    let copied = 0;
    while (matcher.find()) {
      const start = matcher.start();
      const end = matcher.end();
      if (start === end && start === copied && copied > 0) continue;
      const group = (name: string): string | undefined => {
        const index = /^\d+$/.test(name) ? Number(name) : (ownValue(names, name) ?? -1);
        return index >= 0 && index <= count ? (matcher.group(index) ?? undefined) : undefined;
      };
      result += text.slice(copied, start) + replacement({ start, end, group });
      copied = end;
    }
    return result + text.slice(copied);
  }
}

/** An expression that matches just `text`. */
export function quoteMeta(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
