import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { ownValue } from '../base/own-value.ts';
import { isLocalhost } from '../http/is-localhost.ts';
import { loadTlsFiles, type TlsCertificates } from '../http/tls-files.ts';

/** `[registry."host"]` of the daemon's configuration. */
export interface HostConfig {
  /** `host[:port][/path]`, asked before the host itself, for reading only. */
  readonly mirrors?: readonly string[];
  /** Whether to use plain HTTP. By default it is used for this machine's own addresses, and TLS for all others. */
  readonly http?: boolean;
  /** TLS without verifying the certificate. */
  readonly insecure?: boolean;
  /** Files with PEM certificates that are trusted besides the public ones. */
  readonly ca?: readonly string[];
  /** Client certificates: files in PEM. */
  readonly keypair?: readonly { readonly key: string; readonly cert: string }[];
  /** Directories of `*.crt` (trusted) and `*.cert` with `*.key` (client certificates), as in `/etc/docker/certs.d`. */
  readonly tlsConfigDir?: readonly string[];
}

export type RegistryHosts = Readonly<Record<string, HostConfig>>;

/** A server that holds a repository. */
export interface Endpoint {
  /** `host[:port]`. */
  readonly host: string;
  /** `/v2`, or longer for a mirror under a path. */
  readonly prefix: string;
  readonly mirror: boolean;
  /** For a mirror: the registry whose repositories are asked for. One mirror may serve several. */
  readonly namespace?: string;
  /** Tried in this order; the first that speaks is kept. */
  readonly schemes: readonly ('https' | 'http')[];
  readonly verify: boolean;
  readonly config: HostConfig;
}

/** The servers for the repositories of `domain`, mirrors first. Those that can only be read from are left out for writing. */
export function endpointsFor(
  domain: string,
  hosts: RegistryHosts,
  use: { readonly write: boolean; readonly insecure: boolean },
): readonly Endpoint[] {
  const config = ownValue(hosts, domain) ?? {};
  const mirrors = use.write
    ? []
    : (config.mirrors ?? []).map((mirror) => {
        const [host = '', ...segments] = mirror.replace(/^https?:\/\//, '').split('/');
        const prefix = path.posix.join('/v2', ...segments).replace(/\/$/, '');
        return { ...endpoint(host, prefix, true, ownValue(hosts, host) ?? {}, false), namespace: domain };
      });
  const host = domain === 'docker.io' ? 'registry-1.docker.io' : domain;
  return [...mirrors, endpoint(host, '/v2', false, config, use.insecure)];
}

function endpoint(
  host: string,
  prefix: string,
  mirror: boolean,
  config: HostConfig,
  insecure: boolean,
): Endpoint {
  const plain = config.http ?? (insecure || isLocalhost(host));
  const unverified = insecure || config.insecure === true;
  return {
    host,
    prefix,
    mirror,
    schemes: unverified ? (plain ? ['https', 'http'] : ['https']) : plain ? ['http'] : ['https'],
    verify: !unverified,
    config,
  };
}

/** Reads the certificates of a host. Throws with the name of the file that cannot be read. */
export async function loadCertificates(config: HostConfig): Promise<TlsCertificates> {
  const ca = [...(config.ca ?? [])];
  const pairs = [...(config.keypair ?? [])];
  for (const directory of config.tlsConfigDir ?? []) {
    const names = await readdir(directory).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EACCES') return [];
      throw error;
    });
    for (const name of names.sort()) {
      const file = path.join(directory, name);
      if (name.endsWith('.crt')) ca.push(file);
      if (name.endsWith('.cert')) pairs.push({ cert: file, key: file.replace(/\.cert$/, '.key') });
    }
  }
  return loadTlsFiles({ ca, pairs });
}
