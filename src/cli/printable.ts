const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** A text in which control characters are as JSON has them: what images, mounts and builds say of themselves must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, escaped);
}

/** The same of a text with lines, which stay lines, as tabs stay tabs. */
export function printableLines(text: string): string {
  return text.trimEnd().replace(/(?![\n\t])\p{Cc}/gu, escaped);
}
