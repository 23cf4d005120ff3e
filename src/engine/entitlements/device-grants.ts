import { KilnError } from '../../base/errors.ts';
import { parseCsv } from '../../base/text/csv.ts';
import { cutPair } from '../../base/text/cut-pair.ts';
import type { DeviceList, DeviceRequest } from '../../executor/cdi/device-list.ts';

/** The devices that a client allows its build: all, or some by name. The build may use another name (an alias) for one. */
export type DeviceGrants =
  | { readonly kind: 'all' }
  | {
      readonly kind: 'some';
      readonly names: readonly string[];
      /** Names that the build uses, and what they stand for. */
      readonly aliases: ReadonlyMap<string, string>;
    };

/** Reads the values of `device` entitlements: `NAME[,alias=NAME]`; an empty one allows everything. Throws `invalid_argument`. */
export function parseDeviceGrants(values: readonly string[]): DeviceGrants {
  if (values.includes('')) return { kind: 'all' };
  const names: string[] = [];
  const aliases = new Map<string, string>();
  for (const value of values) {
    const [name = '', ...options] = parseCsv(value);
    let alias = '';
    for (const option of options) {
      const pair = cutPair(option);
      if (!pair) throw invalid(`invalid device config ${JSON.stringify(option)}`);
      const [key, text] = pair;
      if (key !== 'alias') throw invalid(`unknown device config key ${JSON.stringify(key)}`);
      alias = text;
    }
    if (alias === '') names.push(name);
    else aliases.set(alias, name);
  }
  return { kind: 'some', names, aliases };
}

/**
 * What a step gets of the devices it asks for: those that are granted, by their full names. Optional ones that the
 * machine lacks are left out, so that the step counts as one that did not ask. With a grant of all, what it asks for is
 * looked up when it runs. Throws `not_found` for a device that is required, `permission_denied` for one that is not allowed.
 */
export function grantedDevices(
  requests: readonly DeviceRequest[],
  grants: DeviceGrants,
  list: DeviceList,
): readonly DeviceRequest[] {
  if (grants.kind === 'all') return requests;
  const { names, aliases } = grants;
  const aliased = requests.flatMap(({ name, optional }) => {
    const meant = aliases.get(name);
    return meant === undefined ? [] : [{ name: meant, optional }];
  });
  const wanted = list.find(requests.filter(({ name }) => !aliases.has(name)));
  const granted = list.find(names.map((name) => ({ name, optional: true })));
  const forbidden = wanted.filter((device) => !device.autoAllowed && !granted.includes(device));
  if (forbidden.length > 0) throw notAllowed(forbidden.map(({ name }) => name));
  return [...aliased, ...wanted.map(({ name }) => ({ name, optional: false }))];
}

function notAllowed(names: readonly string[]): KilnError {
  const what = names.length === 1 ? `device ${names[0]} is` : `devices ${names.join(', ')} are`;
  return new KilnError('permission_denied', `${what} requested by the build but not allowed`, {
    hint: `allow it for the build: ${names.map((name) => `--allow device=${name}`).join(' ')}`,
  });
}

function invalid(message: string): KilnError {
  return new KilnError('invalid_argument', message);
}
