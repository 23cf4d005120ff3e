import { parseAddress } from '../../../api/address.ts';
import { KilnError } from '../../../base/errors.ts';
import type { LoaderChoice } from '../../../loader/find-loader.ts';
import { loaderKinds } from '../../../loader/loader.ts';
import { csvAttributes } from './csv-attributes.ts';

/** The value of `--load=…`: `docker`, `podman,address=unix://…`, `containerd,namespace=k8s.io`. Throws `invalid_argument`. */
export function parseLoad(text: string): LoaderChoice {
  const [name = '', ...rest] = text.split(',');
  const kind = loaderKinds.find((known) => known === name);
  if (!kind) {
    throw new KilnError('invalid_argument', `--load=${text}: there is no ${JSON.stringify(name)}`, {
      hint: `use one of ${loaderKinds.join(', ')}`,
    });
  }
  const attributes = rest.length === 0 ? new Map<string, string>() : csvAttributes('--load', rest.join(','));
  for (const key of attributes.keys()) {
    if (key !== 'address' && (key !== 'namespace' || kind !== 'containerd')) {
      throw new KilnError('invalid_argument', `--load=${text}: ${kind} has no ${JSON.stringify(key)}`);
    }
  }
  const address = attributes.get('address');
  return {
    kind,
    address: address === undefined ? undefined : parseAddress(address),
    namespace: attributes.get('namespace') || undefined,
  };
}
