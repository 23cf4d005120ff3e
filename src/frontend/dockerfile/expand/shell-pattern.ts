import { KilnError } from '../../../base/errors.ts';

/** `${value#pattern}`: without the shortest (or longest) match of the pattern at its start. */
export function removePrefix(value: string, pattern: string, longest: boolean): string {
  const match = new RegExp(`^${patternSource(pattern, longest)}`, 'u').exec(value);
  return match ? value.slice(match[0].length) : value;
}

/** `${value%pattern}`: without the shortest (or longest) match of the pattern at its end. */
export function removeSuffix(value: string, pattern: string, longest: boolean): string {
  // The latest start gives the shortest match, which a search from the left cannot find.
  const whole = new RegExp(`^${patternSource(pattern, true)}$`, 'u');
  const starts = [...boundaries(value)];
  const start = (longest ? starts : starts.reverse()).find((at) => whole.test(value.slice(at)));
  return start === undefined ? value : value.slice(0, start);
}

/** `${value/pattern/text}`: with the first (or every) longest match replaced. */
export function replacePattern(value: string, pattern: string, text: string, all: boolean): string {
  return value.replace(new RegExp(patternSource(pattern, true), all ? 'gu' : 'u'), () => text);
}

/** The regular expression of a shell pattern with `*` and `?` but no brackets. Throws `invalid_argument`. */
function patternSource(pattern: string, longest: boolean): string {
  let source = '';
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '*') source += longest ? '.*' : '.*?';
    else if (character === '?') source += '.';
    else if (character !== '\\') source += literal(character);
    else {
      // `\}` and `\/` only keep the character from ending the pattern.
      const escaped = characters[++at];
      if (escaped === undefined || !'*?\\}/'.includes(escaped)) {
        throw new KilnError(
          'invalid_argument',
          `invalid pattern (${pattern}) in substitution: invalid escape '\\${escaped ?? ''}'`,
        );
      }
      source += literal(escaped);
    }
  }
  return source;
}

function literal(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

/** Every offset between two characters, also before the first and after the last. */
function* boundaries(value: string): Generator<number> {
  let at = 0;
  yield at;
  for (const character of value) {
    at += character.length;
    yield at;
  }
}
