import { KilnError } from '../../../base/errors.ts';
import type { Variables } from './expand-word.ts';

/**
 * The number of characters that variables may add to one Dockerfile. Without a limit, thirty lines that each double a variable
 * would fill the memory.
 */
const largestGrowth = 64 * 1024 * 1024;

/** Counts the characters that the values of variables add to one Dockerfile, and to the history of its image. */
export class GrowthLimit {
  #left = largestGrowth;

  /** Throws `resource_exhausted` when all that was spent is too much. */
  spend(characters: number): void {
    this.#left -= characters;
    if (this.#left >= 0) return;
    throw new KilnError(
      'resource_exhausted',
      `the values of variables make the Dockerfile longer by more than ${largestGrowth} characters`,
      { hint: 'look for a variable that is made of itself several times' },
    );
  }

  /** The same variables; each use of one is counted. */
  count({ get, names }: Variables): Variables {
    return {
      get: (name) => {
        const value = get(name);
        this.spend(value?.length ?? 0);
        return value;
      },
      names,
    };
  }
}
