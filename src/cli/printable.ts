/** A text in which control characters are as JSON has them: what images, mounts and builds say of themselves must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The same of a text with lines, which stay lines. */
export function printableLines(text: string): string {
  return text.trimEnd().split('\n').map(printable).join('\n');
}
