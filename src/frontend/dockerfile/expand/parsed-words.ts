import { parseWord } from './parse-word.ts';
import type { ParsedWord } from './word-tree.ts';

/** Characters of the words that are kept, which take several times as much memory. */
const mostCharacters = 1024 * 1024;

/** The words of one Dockerfile, each parsed once however many stages share it. Those that came first are forgotten when it gets full. */
export class ParsedWords {
  readonly #escape: string;
  readonly #words = new Map<string, ParsedWord>();
  #characters = 0;

  constructor(escapeMark: string) {
    this.#escape = escapeMark;
  }

  get(text: string): ParsedWord {
    const known = this.#words.get(text);
    if (known) return known;
    const word = parseWord(text, { escape: this.#escape });
    if (text.length <= mostCharacters) this.#keep(word);
    return word;
  }

  #keep(word: ParsedWord): void {
    this.#words.set(word.text, word);
    this.#characters += word.text.length;
    for (const oldest of this.#words.keys()) {
      if (this.#characters <= mostCharacters) return;
      this.#words.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}
