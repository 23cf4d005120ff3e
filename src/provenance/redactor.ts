import { HiddenValues } from '../base/secrecy/hidden-values.ts';
import { isSecretName } from '../base/secrecy/secret-name.ts';
import { withoutCredentials } from '../base/secrecy/without-credentials.ts';
import type { RequestAccount } from './request-account.ts';

const mask = 'xxxxx';
const buildArgPrefix = 'build-arg:';

/**
 * Keeps out of predicates what must not leave the builder: credentials in URLs, and the values of build arguments that have the name of a
 * secret, wherever they were written to.
 */
export class Redactor {
  readonly #names = new Set<string>();
  readonly #values = new HiddenValues();

  constructor(requests: readonly RequestAccount[]) {
    const seen = new Set<string>();
    const open = [...requests];
    for (let request = open.pop(); request; request = open.pop()) {
      if (seen.has(request.identity)) continue;
      seen.add(request.identity);
      for (const [option, value] of request.options) this.#note(option, value);
      open.push(...request.inputs.values());
    }
  }

  #note(option: string, value: string): void {
    if (!isSecretOption(option)) return;
    this.#names.add(option.slice(buildArgPrefix.length));
    this.#values.add(value);
  }

  /** The value of an option of a request. */
  option(name: string, value: string): string {
    return isSecretOption(name) && value !== '' ? mask : value;
  }

  /** Any text of a definition: an argument, a variable of the environment (`NAME=value`), a URL. */
  text(text: string): string {
    const shown = withoutCredentials(text);
    if (this.#names.size === 0) return shown;
    const equals = shown.indexOf('=');
    if (equals > 0 && equals < shown.length - 1 && this.#names.has(shown.slice(0, equals))) {
      return `${shown.slice(0, equals)}=${mask}`;
    }
    return this.#values.hide(shown);
  }

  /** The data of a file: as it is if nothing in it has to be hidden. */
  data(data: Uint8Array): Uint8Array {
    const text = Buffer.from(data).toString('utf8');
    const hidden = this.text(text);
    return hidden === text ? data : Buffer.from(hidden, 'utf8');
  }
}

function isSecretOption(name: string): boolean {
  return name.startsWith(buildArgPrefix) && isSecretName(name.slice(buildArgPrefix.length));
}
