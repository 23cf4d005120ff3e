import { readFile } from 'node:fs/promises';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { nearestName } from '../../base/nearest/nearest-name.ts';
import { parseReference } from '../../oci/reference.ts';
import type { HostConfig } from '../../registry/host-config.ts';
import {
  parseBoolean,
  parseDiskSpace,
  parseDuration,
  parseNumber,
  parseOneOf,
  parseString,
  parseStrings,
} from './config-values.ts';
import {
  type DaemonConfig,
  type DevicesConfig,
  defaultConfig,
  type GcConfig,
  type GcRule,
  type NetworkConfig,
  type NetworkMode,
  type WorkerConfig,
} from './daemon-config.ts';

/** The configuration with what a file says laid over it, and what the file says that has no effect. */
export interface ReadConfig {
  readonly config: DaemonConfig;
  readonly warnings: readonly string[];
}

type Table = Readonly<Record<string, unknown>>;

/** Files to read: the first that exists counts. A `named` one has to exist. */
export interface ConfigFiles {
  readonly files: readonly string[];
  readonly named: boolean;
}

/** Reads `buildkitd.toml`. Throws `invalid_argument` naming the file and the key, `not_found` for a missing file that was named. */
export async function readConfig({ files, named }: ConfigFiles, base = defaultConfig): Promise<ReadConfig> {
  for (const file of files) {
    try {
      return await parseConfig(await readFile(file, 'utf8'), file, base);
    } catch (cause) {
      if (errnoOf(cause) === undefined) throw cause;
      if (!named && errnoOf(cause) === 'ENOENT') continue;
      throw new KilnError('not_found', `cannot read the configuration ${file}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
  return { config: base, warnings: [] };
}

async function parseConfig(text: string, file: string, base: DaemonConfig): Promise<ReadConfig> {
  // Loaded only when there is a file, since loading it delays the start.
  const { parse } = await import('smol-toml');
  let document: Table;
  try {
    document = parse(text);
  } catch (cause) {
    throw new KilnError('invalid_argument', `${file}: ${(cause as Error).message}`, { cause });
  }
  const reader = new ConfigReader(file);
  const config = reader.config(document, base);
  return { config, warnings: reader.warnings };
}

/** Keys that BuildKit knows and Kiln does not act on. */
const ineffective = {
  root: ['proxyNetwork', 'otel', 'cache'],
  history: ['maxAge', 'maxEntries'],
  system: ['platformsCacheMaxAge'],
  grpc: ['debugAddress', 'uid', 'securityDescriptor'],
  worker: [
    'rootless',
    'noProcessSandbox',
    'userRemapUnsupported',
    'proxySnapshotterPath',
    'stargzSnapshotter',
    'apparmor-profile',
    'selinux',
  ],
} as const;

class ConfigReader {
  readonly warnings: string[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  config(document: Table, base: DaemonConfig): DaemonConfig {
    const keys = new Keys(this, this.#file, '', document);
    const debug = keys.take('debug', parseBoolean);
    const trace = keys.take('trace', parseBoolean);
    const config: DaemonConfig = {
      ...base,
      root: keys.take('root', parseString) ?? base.root,
      entitlements: keys.take('insecure-entitlements', parseStrings) ?? base.entitlements,
      ...this.#grpc(keys.table('grpc'), base),
      log: this.#log(keys.table('log'), {
        ...base.log,
        ...(trace ? { level: 'trace' } : debug ? { level: 'debug' } : {}),
      }),
      dns: this.#dns(keys.table('dns')) ?? base.dns,
      registries: { ...base.registries, ...this.#registries(keys.table('registry')) },
      registryConcurrency: this.#system(keys.table('system')) ?? base.registryConcurrency,
      devices: this.#devices(keys.table('cdi'), base.devices),
      frontends: this.#frontends(keys.table('frontend'), base),
      provenanceDirectory: keys.take('provenanceEnvDir', parseString) ?? base.provenanceDirectory,
      keepFailedSteps: this.#history(keys.table('history')) ?? base.keepFailedSteps,
      worker: this.#workers(keys.table('worker'), base.worker),
    };
    keys.finish(ineffective.root);
    return config;
  }

  #log(keys: Keys | undefined, base: DaemonConfig['log']): DaemonConfig['log'] {
    const log = {
      format:
        keys?.take('format', (value, where) => parseOneOf(value, where, ['text', 'json'])) ?? base.format,
      level:
        keys?.take('level', (value, where) =>
          parseOneOf(value, where, ['trace', 'debug', 'info', 'warn', 'error']),
        ) ?? base.level,
    };
    keys?.finish();
    return log;
  }

  #grpc(
    keys: Keys | undefined,
    base: DaemonConfig,
  ): Partial<Pick<DaemonConfig, 'addresses' | 'group' | 'tls'>> {
    if (!keys) return {};
    const tls = keys.table('tls');
    const cert = tls?.take('cert', parseString);
    const key = tls?.take('key', parseString);
    const ca = tls?.take('ca', parseString);
    tls?.finish();
    const gid = keys.take('gid', parseNumber);
    const grpc = {
      addresses: keys.take('address', parseStrings) ?? base.addresses,
      group: gid === undefined ? base.group : String(gid),
      tls: cert && key ? { cert, key, ca } : base.tls,
    };
    keys.finish(ineffective.grpc);
    return grpc;
  }

  #dns(keys: Keys | undefined): DaemonConfig['dns'] {
    if (!keys) return undefined;
    const dns = {
      nameservers: keys.take('nameservers', parseStrings) ?? [],
      options: keys.take('options', parseStrings) ?? [],
      searchDomains: keys.take('searchDomains', parseStrings) ?? [],
    };
    keys.finish();
    return dns;
  }

  #devices(keys: Keys | undefined, base: DevicesConfig): DevicesConfig {
    const disabled = keys?.take('disabled', parseBoolean);
    const directories = keys?.take('specDirs', parseStrings);
    const devices = {
      enabled: disabled === undefined ? base.enabled : !disabled,
      directories: directories?.length ? directories : base.directories,
      autoAllowed: keys?.take('autoAllowed', parseStrings) ?? base.autoAllowed,
    };
    keys?.finish();
    return devices;
  }

  #registries(keys: Keys | undefined): Readonly<Record<string, HostConfig>> {
    const hosts: Record<string, HostConfig> = {};
    for (const name of keys?.names() ?? []) {
      const host = keys!.table(name)!;
      hosts[name] = {
        mirrors: host.take('mirrors', parseStrings),
        http: host.take('http', parseBoolean),
        insecure: host.take('insecure', parseBoolean),
        ca: host.take('ca', parseStrings),
        keypair: host.list('keypair')?.map((pair) => {
          const files = {
            key: pair.take('key', parseString) ?? '',
            cert: pair.take('cert', parseString) ?? '',
          };
          pair.finish();
          return files;
        }),
        tlsConfigDir: host.take('tlsconfigdir', parseStrings),
      };
      host.finish();
    }
    return hosts;
  }

  #system(keys: Keys | undefined): number | undefined {
    const concurrency = keys?.take('maxRegistryConcurrency', parseNumber);
    keys?.finish(ineffective.system);
    if (concurrency === undefined || concurrency > 0) return concurrency;
    throw new KilnError(
      'invalid_argument',
      `${this.#file}: system.maxRegistryConcurrency must be greater than zero; set to ${concurrency}`,
    );
  }

  #history(keys: Keys | undefined): number | undefined {
    const keepFailedSteps = keys?.take('keepFailedSteps', parseDuration);
    keys?.finish(ineffective.history);
    return keepFailedSteps;
  }

  #frontends(keys: Keys | undefined, base: DaemonConfig): DaemonConfig['frontends'] {
    const dockerfile = keys?.table('dockerfile.v0');
    const gateway = keys?.table('gateway.v0');
    const frontends = {
      ...base.frontends,
      dockerfile: dockerfile?.take('enabled', parseBoolean) ?? base.frontends.dockerfile,
      gateway: {
        enabled: gateway?.take('enabled', parseBoolean) ?? base.frontends.gateway.enabled,
        allowedRepositories: this.#repositories(gateway) ?? base.frontends.gateway.allowedRepositories,
      },
    };
    dockerfile?.finish();
    gateway?.finish();
    keys?.finish();
    return frontends;
  }

  #repositories(keys: Keys | undefined): readonly string[] | undefined {
    return keys?.take('allowedRepositories', (value, where) => {
      const names = parseStrings(value, where);
      try {
        for (const name of names) parseReference(name);
      } catch (error) {
        throw asKilnError(error).wrap(where);
      }
      return names;
    });
  }

  #workers(keys: Keys | undefined, base: WorkerConfig): WorkerConfig {
    const containerd = keys?.table('containerd');
    if (containerd?.take('enabled', parseBoolean)) {
      this.warnings.push(`${this.#file}: worker.containerd is not supported yet; the OCI worker is used`);
    }
    const oci = keys?.table('oci');
    keys?.finish();
    if (!oci) return base;
    if (oci.take('enabled', parseBooleanOrAuto) === false) {
      throw new KilnError(
        'invalid_argument',
        `${this.#file}: worker.oci is disabled, and it is the only worker there is`,
      );
    }
    const worker: WorkerConfig = {
      labels: this.#labels(oci.table('labels')) ?? base.labels,
      platforms: oci.take('platforms', parseStrings) ?? base.platforms,
      snapshotter:
        oci.take('snapshotter', (value, where) =>
          parseOneOf(value, where, ['auto', 'overlayfs', 'erofs', 'stargz', 'native']),
        ) ?? base.snapshotter,
      runtime: oci.take('binary', parseString) ?? base.runtime,
      network: this.#network(oci, base.network),
      cgroupParent: oci.take('defaultCgroupParent', parseString) ?? base.cgroupParent,
      maxParallelism: oci.take('max-parallelism', parseNumber) ?? base.maxParallelism,
      gc: this.#gc(oci, base.gc),
    };
    oci.finish(ineffective.worker);
    return worker;
  }

  #network(keys: Keys, base: NetworkConfig): NetworkConfig {
    return {
      mode: keys.take('networkMode', parseNetwork) ?? base.mode,
      cni: {
        configFile: keys.take('cniConfigPath', parseString) || base.cni.configFile,
        programs: keys.take('cniBinaryPath', parseString) || base.cni.programs,
      },
      poolSize: keys.take('cniPoolSize', parseNumber) ?? base.poolSize,
      bridge: {
        name: keys.take('bridgeName', parseLinkName) || base.bridge.name,
        subnet: keys.take('bridgeSubnet', parseString) || base.bridge.subnet,
      },
    };
  }

  #labels(keys: Keys | undefined): Readonly<Record<string, string>> | undefined {
    return keys && Object.fromEntries(keys.names().map((name) => [name, keys.take(name, parseString)!]));
  }

  #gc(keys: Keys, base: GcConfig): GcConfig {
    const old = keys.take('gckeepstorage', parseDiskSpace);
    return {
      enabled: keys.take('gc', parseBoolean) ?? base.enabled,
      reservedSpace: keys.take('reservedSpace', parseDiskSpace) ?? old ?? base.reservedSpace,
      maxUsedSpace: keys.take('maxUsedSpace', parseDiskSpace) ?? base.maxUsedSpace,
      minFreeSpace: keys.take('minFreeSpace', parseDiskSpace) ?? base.minFreeSpace,
      policies: keys.list('gcpolicy')?.map((rule) => this.#rule(rule)) ?? base.policies,
    };
  }

  #rule(keys: Keys): GcRule {
    const old = keys.take('keepBytes', parseDiskSpace);
    const rule: GcRule = {
      all: keys.take('all', parseBoolean) ?? false,
      filters: keys.take('filters', parseStrings) ?? [],
      keepDuration: keys.take('keepDuration', parseDuration) ?? 0,
      reservedSpace: keys.take('reservedSpace', parseDiskSpace) ?? old,
      maxUsedSpace: keys.take('maxUsedSpace', parseDiskSpace),
      minFreeSpace: keys.take('minFreeSpace', parseDiskSpace),
    };
    keys.finish();
    return rule;
  }
}

/** The keys of one table. Those that nothing takes are reported. Case does not matter, as in BuildKit. */
class Keys {
  readonly #reader: ConfigReader;
  readonly #file: string;
  readonly #path: string;
  readonly #left: Map<string, { readonly name: string; readonly value: unknown }>;
  /** Names that are known. */
  readonly #askedFor = new Set<string>();

  constructor(reader: ConfigReader, file: string, path: string, table: Table) {
    this.#reader = reader;
    this.#file = file;
    this.#path = path;
    this.#left = new Map(Object.entries(table).map(([name, value]) => [name.toLowerCase(), { name, value }]));
  }

  names(): readonly string[] {
    return [...this.#left.values()].map(({ name }) => name);
  }

  take<T>(name: string, read: (value: unknown, where: string) => T): T | undefined {
    this.#askedFor.add(name);
    const found = this.#left.get(name.toLowerCase());
    this.#left.delete(name.toLowerCase());
    return found && read(found.value, this.#where(found.name));
  }

  table(name: string): Keys | undefined {
    return this.take(name, (value, where) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new KilnError('invalid_argument', `${where}: want a table`);
      }
      return new Keys(this.#reader, this.#file, this.#join(name), value as Table);
    });
  }

  list(name: string): readonly Keys[] | undefined {
    return this.take(name, (value, where) => {
      if (!Array.isArray(value)) throw new KilnError('invalid_argument', `${where}: want a list of tables`);
      return value.map(
        (each, index) => new Keys(this.#reader, this.#file, this.#join(`${name}[${index}]`), each as Table),
      );
    });
  }

  /** To be called when all keys with an effect were taken. Warns of keys in `known`, and throws for others. */
  finish(known: readonly string[] = []): void {
    for (const { name } of this.#left.values()) {
      if (known.some((each) => each.toLowerCase() === name.toLowerCase())) {
        this.#reader.warnings.push(`${this.#where(name)} is not supported yet and has no effect`);
        continue;
      }
      const meant = nearestName(name, [...this.#askedFor, ...known]);
      throw new KilnError('invalid_argument', `${this.#where(name)}: unknown key`, {
        hint: meant && `did you mean ${meant}?`,
      });
    }
  }

  #join(name: string): string {
    return this.#path ? `${this.#path}.${name}` : name;
  }

  #where(name: string): string {
    return `${this.#file}: ${this.#join(name)}`;
  }
}

function parseBooleanOrAuto(value: unknown, where: string): boolean {
  return value === 'auto' ? true : parseBoolean(value, where);
}

export function parseNetwork(value: unknown, where: string): NetworkMode {
  return parseOneOf(value, where, ['auto', 'cni', 'host', 'bridge', 'none']);
}

/** A name that an interface can have; empty for the default. */
function parseLinkName(value: unknown, where: string): string {
  const name = parseString(value, where);
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$|^$/.test(name)) return name;
  throw new KilnError('invalid_argument', `${where}: ${JSON.stringify(name)} is no name of an interface`, {
    hint: 'use up to 15 letters, digits, dots, dashes and underscores',
  });
}
