/**
 * Environments as lists of `NAME=value`. Every step has all variables that were set before it. Steps one after another share
 * the texts of equal variables, and equal lists as a whole: otherwise a graph of many steps would fill the memory.
 */
export class EnvLists {
  /** The last text of each name. */
  readonly #texts = new Map<string, { readonly value: string; readonly text: string }>();
  #last: readonly string[] = [];

  listOf(env: ReadonlyMap<string, string>): readonly string[] {
    const list = [...env].map(([name, value]) => this.#textOf(name, value));
    const isLast = list.length === this.#last.length && list.every((text, at) => text === this.#last[at]);
    if (!isLast) this.#last = list;
    return this.#last;
  }

  #textOf(name: string, value: string): string {
    const known = this.#texts.get(name);
    if (known?.value === value) return known.text;
    const text = `${name}=${value}`;
    this.#texts.set(name, { value, text });
    return text;
  }
}
