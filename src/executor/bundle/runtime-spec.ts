import { readdirSync } from 'node:fs';
import { getuid } from 'node:process';
import { unixPath } from '../../base/default-path.ts';
import type { NetworkNamespace } from '../../linux/network/network-namespace.ts';
import type { TerminalSize } from '../../linux/process/pseudo-terminal.ts';
import { applyEdits, type DeviceEdits } from '../cdi/apply-edits.ts';
import { type EmulatedContainer, withEmulator } from '../emulation/emulated-container.ts';
import type { OtherProcess, ProcessSpec } from '../executor.ts';
import type { OciMount } from '../mounts/oci-mount.ts';
import type { Seccomp } from '../seccomp/seccomp-profile.ts';
import type { ContainerUser } from './container-user.ts';
import { lastOf } from './last-of.ts';
import { defaultCapabilities, ownCapabilities } from './linux-capabilities.ts';
import type { OpenFileLimits } from './open-file-limits.ts';

declare global {
  interface JSON {
    /** ECMAScript's "JSON.parse source text access", which TypeScript does not know yet. */
    rawJSON(text: string): unknown;
  }
}

/** What the specification of one container is made of, besides the process. Paths are the host's. */
export interface RuntimeSpecContext {
  readonly rootfs: string;
  readonly hostsFile: string;
  readonly resolvConf: string;
  /** The process's own mounts, in order. */
  readonly mounts: readonly OciMount[];
  readonly user: ContainerUser;
  /** What its devices bring; its own mounts go over theirs. */
  readonly devices: DeviceEdits;
  readonly network: 'host' | 'none' | NetworkNamespace;
  readonly terminal?: TerminalSize;
  readonly cgroupsPath: string;
  /** Give the container a cgroup namespace (for cgroup v2). */
  readonly cgroupNamespace: boolean;
  /** The system call filter of a confined process; undefined on a kernel without filters. */
  readonly seccomp: SeccompOptions | undefined;
  /** For processes that ask for none. */
  readonly openFiles: OpenFileLimits;
  /** For programs that the machine cannot run itself. */
  readonly emulation: EmulatedContainer | undefined;
}

export interface SeccompOptions {
  readonly profile: Seccomp;
  /** The same as a BPF program, for a runtime that takes one (crun); the profile is given too, for one that does not. */
  readonly program: Buffer | undefined;
}

const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Character devices an insecure process gets besides the usual ones: path, major, minor (Linux devices.txt). */
const insecureDevices: readonly (readonly [string, number, number])[] = [
  ['/dev/kmsg', 1, 11],
  ['/dev/cuse', 10, 203],
  ['/dev/fuse', 10, 229],
  ['/dev/kvm', 10, 232],
  ['/dev/net/tun', 10, 200],
  ['/dev/loop-control', 10, 237],
];
const loopMajor = 7;
/** Loop devices an insecure process gets beyond those in use on the host. */
const spareLoopDevices = 8;

/**
 * The OCI runtime configuration (config.json) of one process. A confined process gets what BuildKit gives by
 * default; an insecure one all capabilities of the daemon, no filter, no masks and the host's devices.
 */
export function runtimeSpec(
  spec: ProcessSpec,
  context: RuntimeSpecContext,
): { readonly process: ProcessConfig } {
  const config = applyEdits(baseSpec(spec, context), context.devices);
  const complete = { ...config, mounts: withoutShadowed([...config.mounts, ...context.mounts]) };
  return context.emulation ? withEmulator(complete, context.emulation) : complete;
}

/** `process` of the runtime configuration. */
export type ProcessConfig = ReturnType<typeof baseSpec>['process'];

/** The configuration of another process, in the container that was made for `first`. `user` is undefined for that process's own. */
export function otherProcess(
  first: ProcessConfig,
  { args, env, cwd }: OtherProcess,
  user: ContainerUser | undefined,
  terminal: TerminalSize | undefined,
): ProcessConfig {
  const home = first.env.find((entry) => entry.startsWith('HOME='))?.slice('HOME='.length) ?? '/';
  return {
    ...withoutTerminal(first),
    ...terminalConfig(terminal),
    ...(user && { user: userConfig(user) }),
    args,
    env: environment(env, user?.home ?? home),
    cwd: cwd === '' ? '/' : cwd,
  };
}

function withoutTerminal({ consoleSize: _, ...config }: ProcessConfig) {
  return config;
}

function terminalConfig(terminal: TerminalSize | undefined): {
  readonly terminal: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };
} {
  return {
    terminal: terminal !== undefined,
    ...(terminal && { consoleSize: { height: terminal.rows, width: terminal.columns } }),
  };
}

function userConfig({ uid, gid, additionalGids }: ContainerUser) {
  return { uid, gid, additionalGids };
}

function baseSpec(spec: ProcessSpec, context: RuntimeSpecContext) {
  const insecure = spec.security === 'insecure';
  const capabilities = insecure ? ownCapabilities() : defaultCapabilities;
  const seccomp = insecure ? undefined : context.seccomp;
  const namespaces: { readonly type: string; readonly path?: string }[] = ['pid', 'ipc', 'uts', 'mount'].map(
    (type) => ({ type }),
  );
  if (context.network === 'none') namespaces.push({ type: 'network' });
  else if (context.network !== 'host') namespaces.push({ type: 'network', path: context.network.path });
  if (context.cgroupNamespace) namespaces.push({ type: 'cgroup' });

  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    root: { path: context.rootfs, readonly: spec.readonlyRoot },
    process: {
      ...terminalConfig(context.terminal),
      user: userConfig(context.user),
      args: spec.args,
      env: environment(spec.env, context.user.home),
      cwd: spec.cwd === '' ? '/' : spec.cwd,
      noNewPrivileges: false,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        ...(insecure ? { inheritable: capabilities, ambient: capabilities } : {}),
      },
      rlimits: rlimits(spec.ulimits, context.openFiles),
    },
    mounts: [...systemMounts(insecure), ...suppliedFiles(context)],
    linux: {
      namespaces,
      maskedPaths: insecure ? [] : maskedPaths,
      readonlyPaths: insecure ? [] : readonlyPaths,
      devices: insecure ? hostDevices() : [],
      cgroupsPath: context.cgroupsPath,
      resources: { ...limits(spec.resources), devices: deviceRules(insecure) },
      ...(seccomp ? { seccomp: seccomp.profile } : {}),
    },
    ...(seccomp?.program
      ? { annotations: { 'run.oci.seccomp_bpf_data': seccomp.program.toString('base64') } }
      : {}),
  };
}

/** `env` with PATH and HOME where it has none. */
function environment(env: readonly string[], home: string): readonly string[] {
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  const complete = [...env];
  if (!has('PATH')) complete.push(`PATH=${unixPath}`);
  if (!has('HOME')) complete.push(`HOME=${home}`);
  return complete;
}

/** Those that are not named are inherited. */
function rlimits(ulimits: ProcessSpec['ulimits'], openFiles: OpenFileLimits): object[] {
  return lastOf([{ name: 'nofile', ...openFiles }, ...ulimits], ({ name }) => name.toUpperCase()).map(
    ({ name, soft, hard }) => ({
      type: `RLIMIT_${name.toUpperCase()}`,
      soft: limitValue(soft),
      hard: limitValue(hard),
    }),
  );
}

/** A negative limit means no limit: RLIM_INFINITY, which no JavaScript number can hold. */
function limitValue(limit: number): unknown {
  return limit < 0 ? JSON.rawJSON('18446744073709551615') : limit;
}

/** What every container has mounted, before anything of its own. */
export function systemMounts(insecure: boolean): OciMount[] {
  const confined = ['nosuid', 'noexec', 'nodev'];
  const access = insecure ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: confined },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...confined, 'mode=1777', 'size=65536k'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: confined },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...confined, access] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...confined, access] },
  ];
}

function suppliedFiles(context: RuntimeSpecContext): OciMount[] {
  const options = ['nosuid', 'noexec', 'nodev', 'rbind', 'ro'];
  return [
    { destination: '/etc/resolv.conf', type: 'bind', source: context.resolvConf, options },
    { destination: '/etc/hosts', type: 'bind', source: context.hostsFile, options },
  ];
}

/** A later mount at the same place takes the place of the earlier one. */
function withoutShadowed(mounts: readonly OciMount[]): OciMount[] {
  return lastOf(mounts, ({ destination }) => destination);
}

function limits(resources: ProcessSpec['resources']): object {
  if (!resources) return {};
  const given = (values: Readonly<Record<string, number | string>>) =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0 && value !== ''));
  return {
    memory: given({ limit: resources.memory, swap: resources.memorySwap }),
    cpu: given({
      shares: resources.cpuShares,
      period: resources.cpuPeriod,
      quota: resources.cpuQuota,
      cpus: resources.cpusetCpus,
      mems: resources.cpusetMems,
    }),
  };
}

function deviceRules(insecure: boolean): object[] {
  return insecure
    ? ['c', 'b'].map((type) => ({ allow: true, type, access: 'rwm' }))
    : [{ allow: false, access: 'rwm' }];
}

/** None for a daemon that is not root: it could not make them. */
function hostDevices(): {
  readonly path: string;
  readonly type: string;
  readonly major: number;
  readonly minor: number;
}[] {
  if (getuid?.() !== 0) return [];
  const used = readdirSync('/sys/block').filter((name) => /^loop\d+$/.test(name)).length;
  return [
    ...insecureDevices.map(([path, major, minor]) => ({ path, type: 'c', major, minor })),
    ...Array.from({ length: used + spareLoopDevices }, (_, minor) => ({
      path: `/dev/loop${minor}`,
      type: 'b',
      major: loopMajor,
      minor,
    })),
  ];
}
