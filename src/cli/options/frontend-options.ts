import { isIP } from 'node:net';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform, parsePlatform } from '../../base/platform.ts';
import { cutPair } from '../../base/text/cut-pair.ts';
import type { BuildFlags } from './build-flags.ts';
import { parseAttest } from './values/parse-attest.ts';
import { parsePairs, parseSize } from './values/parse-values.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the frontend is told: the short flags in the frontend's own words, then `--opt`, which wins. Build arguments
 * without a value have that of the environment; those that are not in it are not set at all. `SOURCE_DATE_EPOCH` is passed on.
 */
export function frontendOptions(flags: BuildFlags, environment: Environment): Map<string, string> {
  const options = new Map<string, string>();
  if (environment.SOURCE_DATE_EPOCH !== undefined) {
    options.set('build-arg:SOURCE_DATE_EPOCH', environment.SOURCE_DATE_EPOCH);
  }
  for (const [name, value] of withEnvironment('--build-arg', '', flags.buildArg, environment)) {
    options.set(`build-arg:${name}`, value);
  }
  for (const label of flags.label) {
    const [name, value] = cutPair(label) ?? [label, ''];
    options.set(`label:${name}`, value);
  }
  if (flags.target) options.set('target', flags.target);
  if (flags.platform.length > 0) {
    const platforms = flags.platform.flatMap((list) => list.split(','));
    options.set('platform', platforms.map((text) => formatPlatform(parsePlatform(text.trim()))).join(','));
  }
  if (flags.noCacheFilter.length > 0) options.set('no-cache', flags.noCacheFilter.join(','));
  if (!flags.cache) options.set('no-cache', '');
  if (flags.pull) options.set('image-resolve-mode', 'pull');
  if (flags.addHost.length > 0) options.set('add-hosts', flags.addHost.map(extraHost).join(','));
  if (flags.network) options.set('force-network-mode', networkMode(flags.network));
  if (flags.shmSize) options.set('shm-size', String(parseSize('--shm-size', flags.shmSize)));
  if (flags.ulimit.length > 0) options.set('ulimit', flags.ulimit.map(ulimit).join(','));
  for (const [type, settings] of parseAttest(flags, environment)) options.set(`attest:${type}`, settings);
  for (const [key, value] of withEnvironment('--opt', 'build-arg:', flags.opt, environment))
    options.set(key, value);
  return options;
}

/** Pairs; a name with this prefix may come without a value. */
function withEnvironment(
  flag: string,
  prefix: string,
  values: readonly string[],
  environment: Environment,
): ReadonlyMap<string, string> {
  const complete = values.flatMap((text) => {
    const name = text.slice(prefix.length);
    if (!text.startsWith(prefix) || name === '' || name.includes('=')) return [text];
    const value = environment[name];
    return value === undefined ? [] : [`${text}=${value}`];
  });
  return parsePairs(flag, complete);
}

/** `name:address` or `name=address`, several addresses with commas, IPv6 in brackets or not. */
function extraHost(text: string): string {
  const [, name, list = ''] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
  const addresses = list.split(',').map((address) => address.replace(/^\[(.*)\]$/, '$1'));
  if (name === undefined || !addresses.every((address) => isIP(address))) {
    throw new KilnError('invalid_argument', `--add-host ${text}: want --add-host name:address`);
  }
  return addresses.map((address) => `${name}=${address}`).join(',');
}

function networkMode(text: string): string {
  if (text === 'default') return 'sandbox';
  if (text === 'host' || text === 'none' || text === 'sandbox') return text;
  throw new KilnError('invalid_argument', `--network ${text}: there is no such network`, {
    hint: 'use default, host or none',
  });
}

function ulimit(text: string): string {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (name === undefined) {
    throw new KilnError('invalid_argument', `--ulimit ${text}: want --ulimit name=soft[:hard]`);
  }
  return `${name}=${soft}:${hard}`;
}
