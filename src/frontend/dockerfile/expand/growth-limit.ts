import { KilnError } from '../../../base/errors.ts';
import type { Variables } from './expand-word.ts';

/** Characters that a Dockerfile may become longer by. Thirty lines that double a variable would fill the memory. */
const largestGrowth = 64 * 1024 * 1024;

/** Counts what variables, and histories that name their values, add to one Dockerfile. */
export class GrowthLimit {
  #left = largestGrowth;

  /** Throws `resource_exhausted` when it is too much in all. */
  spend(characters: number): void {
    this.#left -= characters;
    if (this.#left >= 0) return;
    throw new KilnError(
      'resource_exhausted',
      `the values of variables make the Dockerfile longer by more than ${largestGrowth} characters`,
      { hint: 'look for a variable that is made of itself several times' },
    );
  }

  /** The same variables, each use counted. */
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
