import { KilnError } from '../../base/errors.ts';
import { parseReference, repositoryName } from '../../oci/reference.ts';

/** The repositories that frontends may come from, as a configuration lists them; any, if it lists none. */
export class AllowedRepositories {
  readonly #names: ReadonlySet<string>;

  /** Throws `invalid_argument` for what is no name of a repository. */
  constructor(listed: readonly string[]) {
    this.#names = new Set(listed.map((name) => repositoryName(parseReference(name))));
  }

  /** Throws `permission_denied`. */
  check(source: string): void {
    if (this.#names.size === 0 || this.#names.has(repositoryName(parseReference(source)))) return;
    throw new KilnError('permission_denied', `'${source}' is not an allowed gateway source`, {
      hint: `this daemon runs frontends from ${[...this.#names].join(', ')}`,
    });
  }
}
