import type { RegistryHosts } from '../../registry/host-config.ts';
import type { LogFormat, LogLevel } from '../daemon-log.ts';
import type { GcPolicy } from './gc-policy.ts';

/** Bytes, or a share of the disk. */
export type DiskSpace =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'percentage'; readonly percentage: number };

/** How the daemon runs: the command line over the configuration file over the defaults. */
export interface DaemonConfig {
  readonly root: string;
  readonly addresses: readonly string[];
  /** Group of the unix sockets, by name or number. */
  readonly group?: string;
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  readonly entitlements: readonly string[];
  /** Let clients have paths of this machine in the containers that they run, also without the entitlement `security.insecure`. */
  readonly hostMounts: boolean;
  readonly dns?: {
    readonly nameservers: readonly string[];
    readonly options: readonly string[];
    readonly searchDomains: readonly string[];
  };
  readonly registries: RegistryHosts;
  /** How many blobs of a registry are read, and how many written, at a time; undefined for the client's default. */
  readonly registryConcurrency: number | undefined;
  /** The Container Device Interface. */
  readonly devices: DevicesConfig;
  readonly frontends: FrontendsConfig;
  /** Its JSON files say what the provenance of each build has besides. */
  readonly provenanceDirectory: string;
  /** Milliseconds that failed steps are kept to be looked into; 0: only where a client asks for it. */
  readonly keepFailedSteps: number;
  readonly worker: WorkerConfig;
}

export interface FrontendsConfig {
  readonly dockerfile: boolean;
  /** Frontends that are images. */
  readonly gateway: {
    readonly enabled: boolean;
    /** Where they may come from; from anywhere, if none are named. */
    readonly allowedRepositories: readonly string[];
  };
  /** Whether the frontend that is built in does the work of Docker's Dockerfile frontend, where builds name that one's image. */
  readonly builtInSyntax: boolean;
}

export interface DevicesConfig {
  readonly enabled: boolean;
  /** Where CDI files are. A device in a later directory replaces the same one in an earlier. */
  readonly directories: readonly string[];
  /** Devices and kinds that builds need not be allowed to use. */
  readonly autoAllowed: readonly string[];
}

export interface WorkerConfig {
  readonly labels: Readonly<Record<string, string>>;
  readonly platforms: readonly string[];
  /** `stargz`: overlayfs, with eStargz layers mounted instead of fetched. */
  readonly snapshotter: 'auto' | 'overlayfs' | 'erofs' | 'stargz' | 'native';
  /** Name or path of the OCI runtime; undefined for crun or else runc. */
  readonly runtime?: string;
  readonly network: NetworkConfig;
  readonly cgroupParent?: string;
  /** 0: no limit. */
  readonly maxParallelism: number;
  readonly gc: GcConfig;
}

/** The network of steps that ask for no other. */
export interface NetworkConfig {
  /** `auto` is `cni` where there is its configuration, else `host`. */
  readonly mode: NetworkMode;
  readonly cni: {
    /** The file that says which plugins make a network. */
    readonly configFile: string;
    /** Where plugins are. */
    readonly programs: string;
  };
  /** How many networks are kept ready, with `cni` and `bridge`. */
  readonly poolSize: number;
  readonly bridge: { readonly name: string; readonly subnet: string };
}

export type NetworkMode = 'auto' | 'cni' | 'host' | 'bridge' | 'none';

export interface GcConfig {
  readonly enabled: boolean;
  readonly reservedSpace?: DiskSpace;
  readonly maxUsedSpace?: DiskSpace;
  readonly minFreeSpace?: DiskSpace;
  /** Replaces the default rules. */
  readonly policies?: readonly GcRule[];
}

/** A rule whose sizes may be shares of the disk. */
export interface GcRule extends Pick<GcPolicy, 'all' | 'filters' | 'keepDuration'> {
  readonly reservedSpace?: DiskSpace;
  readonly maxUsedSpace?: DiskSpace;
  readonly minFreeSpace?: DiskSpace;
}

export const defaultConfig: DaemonConfig = {
  root: '/var/lib/kiln',
  addresses: ['unix:///run/kiln/kilnd.sock'],
  log: { level: 'info', format: 'text' },
  entitlements: [],
  hostMounts: false,
  registries: {},
  registryConcurrency: undefined,
  devices: {
    enabled: true,
    directories: ['/etc/cdi', '/var/run/cdi', '/etc/buildkit/cdi'],
    autoAllowed: [],
  },
  frontends: {
    dockerfile: true,
    gateway: { enabled: true, allowedRepositories: [] },
    builtInSyntax: true,
  },
  provenanceDirectory: '/etc/buildkit/provenance.d',
  keepFailedSteps: 60 * 60 * 1000,
  worker: {
    labels: {},
    platforms: [],
    snapshotter: 'auto',
    network: {
      mode: 'auto',
      cni: { configFile: '/etc/buildkit/cni.json', programs: '/opt/cni/bin' },
      poolSize: 0,
      bridge: { name: 'buildkit0', subnet: '10.10.0.0/16' },
    },
    maxParallelism: 0,
    gc: { enabled: true },
  },
};
