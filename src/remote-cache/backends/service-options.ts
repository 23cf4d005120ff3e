import { KilnError } from '../../base/errors.ts';
import type { Attributes } from '../../base/text/attributes.ts';

/** The option `name` of caches in buckets: several names are separated by `;`. */
export function cacheNames(attributes: Attributes): readonly string[] {
  const names = (attributes.name ?? '').split(';').filter((name) => name !== '');
  return names.length === 0 ? ['buildkit'] : [...new Set(names)];
}

/** The address of a service, as an option says it. Throws `invalid_argument`, without saying the address: there may be secrets in it. */
export function serviceUrl(text: string, option: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.host === '') {
    throw new KilnError('invalid_argument', `${option} is not the address of a server`, {
      hint: 'write it like https://server.example',
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new KilnError('invalid_argument', `${option} has credentials in it`, {
      hint: 'give credentials with their own options',
    });
  }
  return url;
}
