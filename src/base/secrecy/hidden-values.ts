const mask = 'xxxxx';
/** How much of a value is looked for first. */
const prefixLength = 8;
/** How much of a long value a text must have to count as having it. */
const comparedLength = 256;
/** Values with the same beginning beyond which no single one is looked for. */
const maxAlike = 16;

/**
 * Values that texts must not have. Shorter ones than eight characters are not among them: they are parts of innocent words. Takes time linear
 * in a text, however many values there are.
 */
export class HiddenValues {
  readonly #byPrefix = new Map<string, Set<string>>();

  add(value: string): void {
    if (value.length < prefixLength) return;
    const prefix = value.slice(0, prefixLength);
    this.#byPrefix.set(prefix, (this.#byPrefix.get(prefix) ?? new Set()).add(value));
  }

  /** The text without the values. Where very many begin alike, all that begins so goes, up to the next white space. */
  hide(text: string): string {
    if (this.#byPrefix.size === 0) return text;
    let result = '';
    let kept = 0;
    for (let at = 0; at + prefixLength <= text.length; at++) {
      const alike = this.#byPrefix.get(text.slice(at, at + prefixLength));
      const length = alike && hiddenLength(alike, text, at);
      if (!length) continue;
      result += text.slice(kept, at) + mask;
      kept = at + length;
      at = kept - 1;
    }
    return kept === 0 ? text : result + text.slice(kept);
  }
}

/** How many characters from `at` on are hidden: as many as the longest value has. */
function hiddenLength(alike: ReadonlySet<string>, text: string, at: number): number {
  if (alike.size > maxAlike) {
    const space = /\s/g;
    space.lastIndex = at;
    return (space.exec(text)?.index ?? text.length) - at;
  }
  let length = 0;
  for (const value of alike) {
    if (value.length > length && text.startsWith(value.slice(0, comparedLength), at)) length = value.length;
  }
  return length;
}
