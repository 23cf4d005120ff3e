import { parseWord } from './parse-word.ts';
import { countParts, type ParsedWord } from './word-tree.ts';

/** How much is kept, as a number of characters; with the objects that words are made of, it takes a few megabytes of memory. */
const mostWeight = 1024 * 1024;

/** As many characters as the object of a word counts for, and that of each part. Of `$a$a…` every two characters are a part. */
const objectWeight = 64;

/** The words of one Dockerfile, each parsed once however many stages share it. Those that came first are forgotten when it gets full. */
export class ParsedWords {
  readonly #escape: string;
  readonly #words = new Map<string, { readonly word: ParsedWord; readonly weight: number }>();
  #weight = 0;

  constructor(escapeMark: string) {
    this.#escape = escapeMark;
  }

  get(text: string): ParsedWord {
    const known = this.#words.get(text);
    if (known) return known.word;
    const word = parseWord(text, { escape: this.#escape });
    const weight = text.length + (1 + countParts(word.parts)) * objectWeight;
    if (weight <= mostWeight) this.#keep(word, weight);
    return word;
  }

  #keep(word: ParsedWord, weight: number): void {
    this.#words.set(word.text, { word, weight });
    this.#weight += weight;
    for (const [text, oldest] of this.#words) {
      if (this.#weight <= mostWeight) return;
      this.#words.delete(text);
      this.#weight -= oldest.weight;
    }
  }
}
