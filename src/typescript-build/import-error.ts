import { KilnError } from '../base/errors.ts';

/** An import that is refused, with who asked for it. */
export class ImportError extends KilnError {
  readonly script: string | undefined;
  readonly specifier: string;

  constructor(message: string, script: string | undefined, specifier: string) {
    super('permission_denied', message);
    this.script = script;
    this.specifier = specifier;
  }
}
