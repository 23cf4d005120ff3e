import { readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';

/** Name server settings that replace the host's, each list where it is not empty. */
export interface DnsOptions {
  readonly nameservers: readonly string[];
  readonly searchDomains: readonly string[];
  readonly options: readonly string[];
}

/** Asked when there is no other that can be. */
const publicNameservers = ['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844'];

/** Where systemd-resolved keeps the real servers behind its stub on 127.0.0.53. */
const resolvedFile = '/run/systemd/resolve/resolv.conf';

const isLoopback = (address: string): boolean => /^127\./.test(address) || /^::1(%|$)/.test(address);

export interface ResolvConfOptions {
  /** Whether the container has the host's network. Elsewhere servers on the host's loopback are left out. */
  readonly onHost: boolean;
  readonly dns?: DnsOptions;
  /** The host's; `/etc/resolv.conf` by default. */
  readonly file?: string;
  /** An address at which questions are passed on to the host's servers; it takes their place. */
  readonly relay?: string;
}

/** The text of a container's `/etc/resolv.conf`, made of the host's. Blocks. */
export function resolvConf({ onHost, dns, file, relay }: ResolvConfOptions): string {
  const host = readHost(file);
  const base = onHost ? host : behindStub(host);

  let nameservers = base.nameservers;
  if (dns && dns.nameservers.length > 0) nameservers = dns.nameservers;
  else if (relay !== undefined) nameservers = [relay];
  else if (!onHost) nameservers = nameservers.filter((address) => !isLoopback(address));
  if (nameservers.length === 0) nameservers = publicNameservers;
  const search = dns && dns.searchDomains.length > 0 ? dns.searchDomains : base.search;
  const options = dns && dns.options.length > 0 ? dns.options : base.options;

  const lines = nameservers.map((address) => `nameserver ${address}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return `${[...lines, ...base.others].join('\n')}\n`;
}

/** The host's name servers if processes on the host are the only ones that can ask them; empty otherwise. Blocks. */
export function serversOfHostOnly({ dns, file }: Pick<ResolvConfOptions, 'dns' | 'file'>): readonly string[] {
  if (dns && dns.nameservers.length > 0) return [];
  const host = readHost(file);
  const isReachable = behindStub(host).nameservers.some((address) => !isLoopback(address));
  return isReachable ? [] : host.nameservers.filter(isLoopback);
}

function readHost(file = '/etc/resolv.conf'): Settings {
  return parse(readIfThere(file));
}

/** What systemd-resolved asks, if it is what the host asks. */
function behindStub(host: Settings): Settings {
  const stubOnly = host.nameservers.length === 1 && host.nameservers[0] === '127.0.0.53';
  return stubOnly ? parse(readIfThere(resolvedFile)) : host;
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
