import { readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';

/** Name server settings that replace the host's, each list where it is not empty. */
export interface DnsOptions {
  readonly nameservers: readonly string[];
  readonly searchDomains: readonly string[];
  readonly options: readonly string[];
}

/** Asked when the host has only name servers on its own loopback, which another network namespace cannot reach. */
const publicNameservers = ['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844'];

/** Where systemd-resolved keeps the real servers behind its stub on 127.0.0.53. */
const resolvedFile = '/run/systemd/resolve/resolv.conf';

const isLoopback = (address: string): boolean => /^127\./.test(address) || /^::1(%|$)/.test(address);

/**
 * The text of a container's `/etc/resolv.conf`, made of the host's. On the host's network (`onHost`) its loopback servers stay;
 * elsewhere they are left out. Blocks.
 */
export function resolvConf(onHost: boolean, dns?: DnsOptions): string {
  const host = parse(readIfThere('/etc/resolv.conf'));
  const stubOnly = host.nameservers.length === 1 && host.nameservers[0] === '127.0.0.53';
  const base = !onHost && stubOnly ? parse(readIfThere(resolvedFile)) : host;

  let nameservers = base.nameservers;
  if (dns && dns.nameservers.length > 0) nameservers = dns.nameservers;
  else if (!onHost) nameservers = nameservers.filter((address) => !isLoopback(address));
  if (nameservers.length === 0) nameservers = publicNameservers;
  const search = dns && dns.searchDomains.length > 0 ? dns.searchDomains : base.search;
  const options = dns && dns.options.length > 0 ? dns.options : base.options;

  const lines = nameservers.map((address) => `nameserver ${address}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return `${[...lines, ...base.others].join('\n')}\n`;
}

interface Settings {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /** Lines of other kinds, as they are. */
  readonly others: readonly string[];
}

/** resolv.conf(5): the last `search` or `domain` counts, `options` add up. */
function parse(text: string): Settings {
  const nameservers: string[] = [];
  const options: string[] = [];
  const others: string[] = [];
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || /^[#;]/.test(trimmed)) continue;
    const [keyword, ...values] = trimmed.split(/\s+/);
    if (keyword === 'nameserver') nameservers.push(...values.slice(0, 1));
    else if (keyword === 'search' || keyword === 'domain') search = values.filter((value) => value !== '.');
    else if (keyword === 'options') options.push(...values);
    else others.push(trimmed);
  }
  return { nameservers, search, options, others };
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
