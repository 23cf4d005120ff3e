import { KilnError } from '../../base/errors.ts';

/**
 * Splits a command into arguments as a POSIX shell would, without expanding anything: the rules of the Go package `google/shlex`,
 * which BuildKit's own clients use. A word that begins with `#` starts a comment that goes to the end of the line.
 * Throws `invalid_argument` for a quote that is not closed, or a backslash that escapes nothing.
 *
 * @example
 * ```ts
 * import { splitCommand } from 'kiln/llb';
 *
 * assert.deepEqual(splitCommand(`sh -c 'make all' "a \\"b\\"" # builds`), ['sh', '-c', 'make all', 'a "b"']);
 * ```
 */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: '"' | "'" | undefined;
  let comment = false;
  const characters = [...text];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (comment) comment = character !== '\n';
    else if (character === quote) quote = undefined;
    else if (character === '\\' && quote !== "'") {
      const escaped = characters[++at];
      if (escaped === undefined) throw unfinished(text, 'nothing follows the backslash at its end');
      word = (word ?? '') + escaped;
    } else if (quote !== undefined) word += character;
    else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (' \t\r\n'.includes(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '#' && word === undefined) comment = true;
    else word = (word ?? '') + character;
  }
  if (quote !== undefined) throw unfinished(text, `a ${quote} is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}

function unfinished(text: string, why: string): KilnError {
  return new KilnError('invalid_argument', `invalid command ${JSON.stringify(text)}: ${why}`);
}
