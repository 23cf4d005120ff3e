import { asKilnError } from '../base/errors.ts';
import type { FileStat, SolvedRef } from '../frontend/frontend.ts';

/** A tree whose files can be read. It is solved when the first of them is asked for. */
export class SolvedTree {
  readonly #ref: SolvedRef | undefined;
  readonly #signal: AbortSignal;

  constructor(ref: SolvedRef | undefined, signal: AbortSignal) {
    this.#ref = ref;
    this.#signal = signal;
  }

  /** A file. Paths start at the tree's root, and links are resolved inside it. Undefined where there is no such file. */
  async readFile(path: string): Promise<Uint8Array | undefined> {
    return await found(this.#ref?.readFile(path, undefined, this.#signal));
  }

  /** A file of UTF-8. */
  async readText(path: string): Promise<string | undefined> {
    const bytes = await this.readFile(path);
    return bytes && Buffer.from(bytes).toString('utf8');
  }

  /** What is in a directory. Undefined where there is none. */
  async readDirectory(path: string, includePattern?: string): Promise<readonly FileStat[] | undefined> {
    return await found(this.#ref?.readDir(path, includePattern, this.#signal));
  }

  async stat(path: string): Promise<FileStat | undefined> {
    return await found(this.#ref?.statFile(path, this.#signal));
  }

  /** Runs what the tree is made by, without reading anything of it. */
  async evaluate(): Promise<void> {
    await this.#ref?.evaluate(this.#signal);
  }
}

async function found<T>(answer: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (asKilnError(error).code === 'not_found') return undefined;
    throw error;
  }
}
