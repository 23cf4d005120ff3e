import { KilnError } from '../../base/errors.ts';
import { nearestName } from '../../base/nearest/nearest-name.ts';

/**
 * The fields of one object of a CDI file; `where` names the object in errors. Each field is taken once, by its type; a field that
 * nobody took is an error. A null field counts as absent. Every method throws `invalid_argument`.
 */
export class SpecFields {
  readonly #where: string;
  readonly #left: Map<string, unknown>;
  readonly #taken: string[] = [];

  constructor(where: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalid(where, 'an object', value);
    this.#where = where;
    this.#left = new Map(Object.entries(value).filter(([, field]) => field !== null));
  }

  /** Numbers and truth values are taken as they are written. */
  text(name: string): string | undefined {
    return this.#take(name, textOf);
  }

  required(name: string): string {
    const text = this.text(name);
    if (!text) throw invalidSpec(`${this.#where}: ${name} is missing`);
    return text;
  }

  texts(name: string): readonly string[] | undefined {
    return this.#take(name, (value, where) =>
      listOf(value, where).map((each, at) => textOf(each, `${where}[${at}]`)),
    );
  }

  integer(name: string): number | undefined {
    return this.#take(name, integerOf);
  }

  integers(name: string): readonly number[] | undefined {
    return this.#take(name, (value, where) =>
      listOf(value, where).map((each, at) => integerOf(each, `${where}[${at}]`)),
    );
  }

  truth(name: string): boolean | undefined {
    return this.#take(name, (value, where) => {
      if (typeof value === 'boolean') return value;
      throw invalid(where, 'true or false', value);
    });
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T | undefined {
    return this.#take(name, (value, where) => {
      const choice = choices.find((each) => each === value);
      if (choice !== undefined) return choice;
      throw invalid(where, `one of ${choices.join(', ')}`, value);
    });
  }

  object<T>(name: string, read: (fields: SpecFields) => T): T | undefined {
    return this.#take(name, (value, where) => new SpecFields(where, value).read(read));
  }

  objects<T>(name: string, read: (fields: SpecFields) => T): readonly T[] {
    const all = this.#take(name, (value, where) =>
      listOf(value, where).map((each, at) => new SpecFields(`${where}[${at}]`, each).read(read)),
    );
    return all ?? [];
  }

  /** Every field, as text. */
  allTexts(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#left.keys()].map((name) => [name, this.text(name)!]));
  }

  read<T>(read: (fields: SpecFields) => T): T {
    const result = read(this);
    for (const name of this.#left.keys()) {
      const meant = nearestName(name, this.#taken);
      throw invalidSpec(`${this.#where}: unknown field ${name}${meant ? `; did you mean ${meant}?` : ''}`);
    }
    return result;
  }

  fault(what: string): KilnError {
    return invalidSpec(`${this.#where}: ${what}`);
  }

  #take<T>(name: string, read: (value: unknown, where: string) => T): T | undefined {
    this.#taken.push(name);
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value === undefined ? undefined : read(value, `${this.#where}.${name}`);
  }
}

function textOf(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw invalid(where, 'text', value);
}

function integerOf(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw invalid(where, 'a whole number', value);
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(where, 'a list', value);
}

function invalid(where: string, wanted: string, value: unknown): KilnError {
  return invalidSpec(`${where}: want ${wanted}, have ${JSON.stringify(value)}`);
}

function invalidSpec(message: string): KilnError {
  return new KilnError('invalid_argument', message);
}
