import { Command, CommanderError } from 'commander';
import { KilnError } from '../../base/errors.ts';
import { type ConfigFiles, parseNetwork } from './config-file.ts';
import { parseBoolean, parseNumber, parseOneOf } from './config-values.ts';
import type { DaemonConfig, DiskSpace, NetworkConfig } from './daemon-config.ts';

/** What the command line says; `apply` lays it over the configuration file. */
export interface CommandLine {
  readonly configFiles: ConfigFiles;
  readonly warnings: readonly string[];
  apply(config: DaemonConfig): DaemonConfig;
}

interface Flag {
  /** As commander takes it. `[value]`: a switch that may be given a value. */
  readonly flags: string;
  readonly help: string;
  /** May be given several times. */
  readonly list?: true;
  /** How the flag changes the configuration; a flag without it is known but has no effect. */
  readonly apply?: (config: DaemonConfig, value: string, where: string) => DaemonConfig;
  /** Values with which a flag without effect asks for nothing special. */
  readonly harmless?: readonly string[];
}

const worker = (config: DaemonConfig, change: Partial<DaemonConfig['worker']>): DaemonConfig => ({
  ...config,
  worker: { ...config.worker, ...change },
});
const network = (config: DaemonConfig, change: Partial<NetworkConfig>): DaemonConfig =>
  worker(config, { network: { ...config.worker.network, ...change } });
const devices = (config: DaemonConfig, change: Partial<DaemonConfig['devices']>): DaemonConfig => ({
  ...config,
  devices: { ...config.devices, ...change },
});
const log = (config: DaemonConfig, change: Partial<DaemonConfig['log']>): DaemonConfig => ({
  ...config,
  log: { ...config.log, ...change },
});
const tls = (config: DaemonConfig, change: Partial<NonNullable<DaemonConfig['tls']>>): DaemonConfig => ({
  ...config,
  tls: { cert: '', key: '', ...config.tls, ...change },
});

/** One entry for each flag: a new flag changes this table only. A flag with several values is applied once for each, after its list was emptied. */
const flags: readonly Flag[] = [
  { flags: '--root <dir>', help: 'path to state directory', apply: (config, root) => ({ ...config, root }) },
  {
    flags: '--addr <address>',
    help: 'listening address (unix:// or tcp://), may be repeated',
    list: true,
    apply: (config, address) => ({ ...config, addresses: [...config.addresses, address] }),
  },
  {
    flags: '--debug [value]',
    help: 'enable debug output in logs',
    apply: (config, value, where) => (parseBoolean(value, where) ? log(config, { level: 'debug' }) : config),
  },
  {
    flags: '--trace [value]',
    help: 'enable trace output in logs',
    apply: (config, value, where) => (parseBoolean(value, where) ? log(config, { level: 'trace' }) : config),
  },
  {
    flags: '--log-format <format>',
    help: 'log format: text or json',
    apply: (config, value, where) => log(config, { format: parseOneOf(value, where, ['text', 'json']) }),
  },
  {
    flags: '--log-level <level>',
    help: 'trace, debug, info, warn or error',
    apply: (config, value, where) =>
      log(config, { level: parseOneOf(value, where, ['trace', 'debug', 'info', 'warn', 'error']) }),
  },
  {
    flags: '--group <group>',
    help: 'group (name or number) of unix sockets',
    apply: (config, group) => ({ ...config, group }),
  },
  {
    flags: '--tlscert <file>',
    help: 'certificate file to use',
    apply: (config, cert) => tls(config, { cert }),
  },
  { flags: '--tlskey <file>', help: 'key file to use', apply: (config, key) => tls(config, { key }) },
  {
    flags: '--tlscacert <file>',
    help: 'ca certificate to verify clients',
    apply: (config, ca) => tls(config, { ca }),
  },
  {
    flags: '--allow-insecure-entitlement <name>',
    help: 'allow builds to ask for network.host, security.insecure or device',
    list: true,
    apply: (config, name) => ({ ...config, entitlements: [...config.entitlements, name] }),
  },
  {
    flags: '--no-builtin-syntax',
    help: 'run the images of docker/dockerfile that builds name as their syntax, instead of what is built in',
    apply: (config) => ({ ...config, frontends: { ...config.frontends, builtInSyntax: false } }),
  },
  {
    flags: '--cdi-disabled [value]',
    help: 'have no devices (CDI)',
    apply: (config, value, where) => devices(config, { enabled: !parseBoolean(value, where) }),
  },
  {
    flags: '--cdi-spec-dir <dir>',
    help: 'directory of CDI files, may be repeated',
    list: true,
    apply: (config, value) =>
      devices(config, { directories: [...config.devices.directories, ...value.split(',')] }),
  },
  {
    flags: '--oci-worker [value]',
    help: 'enable the OCI worker (true/false/auto)',
    apply: (config, value, where) => {
      if (value !== 'auto' && !parseBoolean(value, where)) {
        throw new KilnError('invalid_argument', `${where}: the OCI worker is the only one there is`);
      }
      return config;
    },
  },
  {
    flags: '--oci-worker-labels <key=value>',
    help: 'labels of the worker, may be repeated',
    list: true,
    apply: (config, value, where) => {
      const at = value.indexOf('=');
      if (at <= 0)
        throw new KilnError('invalid_argument', `${where}: want key=value, have ${JSON.stringify(value)}`);
      return worker(config, {
        labels: { ...config.worker.labels, [value.slice(0, at)]: value.slice(at + 1) },
      });
    },
  },
  {
    flags: '--oci-worker-snapshotter <name>',
    help: 'auto, overlayfs, erofs, stargz or native',
    apply: (config, value, where) =>
      worker(config, {
        snapshotter: parseOneOf(value, where, ['auto', 'overlayfs', 'erofs', 'stargz', 'native']),
      }),
  },
  {
    flags: '--oci-worker-platform <platform>',
    help: 'platforms of the worker, may be repeated',
    list: true,
    apply: (config, platform) => worker(config, { platforms: [...config.worker.platforms, platform] }),
  },
  {
    flags: '--oci-worker-net <mode>',
    help: 'network of build steps: auto, cni, host, bridge or none',
    apply: (config, value, where) => network(config, { mode: parseNetwork(value, where) }),
  },
  {
    flags: '--oci-cni-config-path <path>',
    help: 'configuration of the CNI plugins',
    apply: (config, configFile) => network(config, { cni: { ...config.worker.network.cni, configFile } }),
  },
  {
    flags: '--oci-cni-binary-dir <dir>',
    help: 'where the CNI plugins are',
    apply: (config, programs) => network(config, { cni: { ...config.worker.network.cni, programs } }),
  },
  {
    flags: '--oci-cni-pool-size <n>',
    help: 'how many networks (of modes cni and bridge) to keep ready for steps',
    apply: (config, value, where) => network(config, { poolSize: parseNumber(value, where) }),
  },
  {
    flags: '--oci-worker-binary <program>',
    help: 'OCI runtime to use: crun, runc, or a path',
    apply: (config, runtime) => worker(config, { runtime }),
  },
  {
    flags: '--oci-max-parallelism <n>',
    help: 'how many build steps may run at once (0: no limit)',
    apply: (config, value, where) => worker(config, { maxParallelism: parseNumber(value, where) }),
  },
  {
    flags: '--oci-worker-gc [value]',
    help: 'enable automatic garbage collection',
    apply: (config, value, where) =>
      worker(config, { gc: { ...config.worker.gc, enabled: parseBoolean(value, where) } }),
  },
  {
    flags: '--oci-worker-gc-keepstorage <size>',
    help: 'what garbage collection keeps, in MB: reserved[,free[,maximum]]',
    apply: (config, value, where) => {
      const [reservedSpace, minFreeSpace, maxUsedSpace] = value.split(',').map((part): DiskSpace => {
        return { kind: 'bytes', bytes: parseNumber(part, where) * 1e6 };
      });
      return worker(config, { gc: { ...config.worker.gc, reservedSpace, minFreeSpace, maxUsedSpace } });
    },
  },
  { flags: '--rootless [value]', help: 'not supported yet', harmless: ['false'] },
  { flags: '--debugaddr <address>', help: 'not supported yet' },
  { flags: '--proxy-network [value]', help: 'not supported yet', harmless: ['false'] },
  { flags: '--otel-socket-path <path>', help: 'not supported yet' },
  { flags: '--save-cache-debug [value]', help: 'not supported yet', harmless: ['false'] },
  { flags: '--oci-worker-rootless [value]', help: 'not supported yet', harmless: ['false'] },
  { flags: '--oci-worker-no-process-sandbox [value]', help: 'not supported yet', harmless: ['false'] },
  { flags: '--oci-worker-proxy-snapshotter-path <path>', help: 'not supported yet' },
  { flags: '--oci-worker-apparmor-profile <name>', help: 'not supported yet' },
  { flags: '--oci-worker-selinux [value]', help: 'not supported yet', harmless: ['false'] },
  { flags: '--containerd-worker [value]', help: 'not supported yet', harmless: ['false', 'auto'] },
  { flags: '--containerd-worker-addr <address>', help: 'not supported yet' },
  { flags: '--containerd-worker-namespace <name>', help: 'not supported yet' },
];

const defaultConfigFiles = ['/etc/kiln/kilnd.toml', '/etc/buildkit/buildkitd.toml'] as const;

/** Reads the command line. Prints help or the version and exits when asked to. Throws `invalid_argument`. */
export function parseCommandLine(args: readonly string[], version: string): CommandLine {
  const program = new Command('kilnd')
    .description("Kiln build daemon: serves BuildKit's API")
    .version(version, '-v, --version')
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride()
    .option('--config <file>', `configuration file (default: ${defaultConfigFiles.join(', else ')})`);
  const given: { readonly flag: Flag; readonly value: string }[] = [];
  for (const flag of flags) {
    program.option(flag.flags, flag.help);
    const name = /--([a-z-]+)/.exec(flag.flags)![1]!;
    program.on(`option:${name}`, (value: string | null) => given.push({ flag, value: value ?? 'true' }));
  }
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit(0);
    throw new KilnError('invalid_argument', error.message.replace(/^error: /, ''), {
      hint: 'see kilnd --help',
    });
  }
  const { config: file } = program.opts<{ config?: string }>();
  const nameOf = ({ flags: text }: Flag) => text.split(' ', 1)[0]!;
  return {
    configFiles:
      file === undefined ? { files: defaultConfigFiles, named: false } : { files: [file], named: true },
    warnings: given
      .filter(({ flag, value }) => !flag.apply && !flag.harmless?.includes(value))
      .map(({ flag }) => `${nameOf(flag)} is not supported yet and has no effect`),
    apply(config) {
      const names = new Set(given.map(({ flag }) => nameOf(flag)));
      const addressed = names.has('--addr') ? { ...config, addresses: [] } : config;
      const start = names.has('--cdi-spec-dir') ? devices(addressed, { directories: [] }) : addressed;
      return given.reduce((so, { flag, value }) => flag.apply?.(so, value, nameOf(flag)) ?? so, start);
    },
  };
}
