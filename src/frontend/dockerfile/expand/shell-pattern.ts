import { KilnError } from '../../../base/errors.ts';
import { Glob, type GlobStep, literalStep } from '../../../base/pattern/glob.ts';

/** `${value#pattern}`: without the shortest (or longest) match of the pattern at its start. */
export function removePrefix(value: string, pattern: string, longest: boolean): string {
  const characters = codesOf(value);
  const end = new Glob(stepsOf(pattern)).endOfMatch(characters, 0, longest);
  return end === undefined ? value : textOf(characters.slice(end));
}

/** `${value%pattern}`: without the shortest (or longest) match of the pattern at its end. */
export function removeSuffix(value: string, pattern: string, longest: boolean): string {
  // A match at the end is one at the start of what is read backwards.
  const characters = codesOf(value).reverse();
  const end = new Glob(stepsOf(pattern).reverse()).endOfMatch(characters, 0, longest);
  return end === undefined ? value : textOf(characters.slice(end).reverse());
}

/** `${value/pattern/text}`: with the first (or every) longest match replaced. */
export function replacePattern(value: string, pattern: string, text: string, all: boolean): string {
  const characters = codesOf(value);
  const steps = stepsOf(pattern);
  const glob = new Glob(steps);
  // Where a match begins, one of what is read backwards ends.
  const begins = new Glob(steps.toReversed()).endsOfMatches(characters.toReversed()).reverse();
  let result = '';
  let copied = 0;
  let at = begins.indexOf(true);
  while (at >= 0) {
    const end = glob.endOfMatch(characters, at, true)!;
    // Nothing is not found again where a match has just ended.
    if (end > at || at !== copied || copied === 0) {
      if (result.length > longestResult) throw tooLong();
      result += textOf(characters.slice(copied, at)) + text;
      copied = end;
      if (!all) break;
    }
    at = begins.indexOf(true, end > at ? end : at + 1);
  }
  return result + textOf(characters.slice(copied));
}

/** Characters: every one of many can be replaced by many. */
const longestResult = 16 * 1024 * 1024;

function tooLong(): KilnError {
  return new KilnError('resource_exhausted', `a substitution makes more than ${longestResult} characters`);
}

function codesOf(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0)!);
}

function textOf(characters: readonly number[]): string {
  return characters.map((code) => String.fromCodePoint(code)).join('');
}

/** A shell pattern with `*` and `?`, neither of which stands for a line end, but no brackets. Throws `invalid_argument`. */
function stepsOf(pattern: string): GlobStep[] {
  const steps: GlobStep[] = [];
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '*') steps.push({ kind: 'many', admits: isNoLineEnd });
    else if (character === '?') steps.push({ kind: 'one', admits: isNoLineEnd });
    else if (character !== '\\') steps.push(literalStep(character));
    else {
      // `\}` and `\/` only keep the character from ending the pattern.
      const escaped = characters[++at];
      if (escaped === undefined || !'*?\\}/'.includes(escaped)) {
        throw new KilnError(
          'invalid_argument',
          `invalid pattern (${pattern}) in substitution: invalid escape '\\${escaped ?? ''}'`,
        );
      }
      steps.push(literalStep(escaped));
    }
  }
  return steps;
}

function isNoLineEnd(character: number): boolean {
  return character !== 0x0a;
}
