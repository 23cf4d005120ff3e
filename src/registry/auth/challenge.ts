/** One way of authenticating that a server offers: `Bearer realm="…",service="…"` (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** Lower-case. */
  readonly scheme: string;
  /** Names are lower-case. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** No server offers more. */
const mostChallenges = 32;

/** Reads the value of `WWW-Authenticate`, which may offer several ways. What cannot be read is passed over. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { readonly scheme: string; readonly parameters: Map<string, string> }[] = [];
  const text = new Scanner(header);
  while (!text.atEnd && challenges.length < mostChallenges) {
    const name = text.token().toLowerCase();
    if (name === '') {
      text.skip();
      continue;
    }
    const spaced = text.spaces();
    if (text.take('=')) {
      text.spaces();
      const value = text.take('"') ? text.quoted() : text.token();
      if (value !== undefined) challenges.at(-1)?.parameters.set(name, value);
    } else if (spaced || text.atEnd || text.take(',')) {
      challenges.push({ scheme: name, parameters: new Map() });
    }
  }
  return challenges.map(({ scheme, parameters }) => ({
    scheme,
    parameters: Object.fromEntries(parameters),
  }));
}

const tokenCharacter = /[A-Za-z0-9!#$%&'*+.^_`|~-]/;

/** Goes through a text once. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  skip(): void {
    this.#at++;
  }

  take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** Whether there are any. */
  spaces(): boolean {
    return this.#while((character) => character === ' ' || character === '\t') !== '';
  }

  /** Empty when there is none. */
  token(): string {
    return this.#while((character) => tokenCharacter.test(character));
  }

  /** The rest of a quoted string; undefined when it does not end. */
  quoted(): string | undefined {
    const characters: string[] = [];
    while (!this.atEnd) {
      const character = this.#text[this.#at++]!;
      if (character === '"') return characters.join('');
      characters.push(character === '\\' ? (this.#text[this.#at++] ?? '') : character);
    }
    return undefined;
  }

  #while(belongs: (character: string) => boolean): string {
    const start = this.#at;
    while (!this.atEnd && belongs(this.#text[this.#at]!)) this.#at++;
    return this.#text.slice(start, this.#at);
  }
}
