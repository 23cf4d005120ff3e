import type { LinuxResources } from '../base/linux-resources.ts';
import type { Platform } from '../base/platform.ts';
import type { TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { SnapshotMount } from '../snapshot/snapshot.ts';
import type { DeviceRequest } from './cdi/device-list.ts';

/** One process in one container. */
export interface ProcessSpec {
  /** A short unique name (`[a-z0-9]+`); the container's and cgroup's id. */
  readonly id: string;
  readonly rootfs: SnapshotMount;
  /** What its programs are made for; this machine's own by default. */
  readonly platform?: Platform;
  /** Mounts in the order they are made. `dest` is absolute in the container; missing mount points are made, and removed afterwards when the process left them empty. */
  readonly mounts: readonly ProcessMount[];
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** `user[:group]` by name or number, looked up in the rootfs; empty is root. */
  readonly user: string;
  /** Empty for the default, `buildkitsandbox`. */
  readonly hostname: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  /** `sandbox` is what the executor gives steps that ask for nothing else. */
  readonly network: 'host' | 'none' | 'sandbox';
  readonly security: 'sandbox' | 'insecure';
  readonly readonlyRoot: boolean;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
  /** Devices of the machine that the process gets; nothing of them stays in the rootfs. */
  readonly devices: readonly DeviceRequest[];
  readonly resources?: LinuxResources;
  readonly validExitCodes: readonly number[];
  readonly removeMountStubsRecursive: boolean;
}

export type ProcessMount =
  /** `selector` is a path inside the mounted tree, resolved without leaving it. */
  | {
      readonly kind: 'tree';
      readonly dest: string;
      readonly mount: SnapshotMount;
      readonly selector: string;
      readonly readonly: boolean;
    }
  /** `size` in bytes, 0 for no limit. */
  | { readonly kind: 'tmpfs'; readonly dest: string; readonly size: number }
  /** A secret: a file on a tmpfs, never on disk. */
  | {
      readonly kind: 'file';
      readonly dest: string;
      readonly data: Uint8Array;
      readonly uid: number;
      readonly gid: number;
      readonly mode: number;
    }
  /** A socket or file of the host, bound as it is. */
  | { readonly kind: 'host'; readonly dest: string; readonly source: string; readonly readonly: boolean };

/** Another process in a container. What is not said is as for the first one: capabilities, limits, namespaces. */
export interface OtherProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** As in `ProcessSpec`, but empty is the user of the first process. */
  readonly user: string;
}

export interface ProcessIo {
  /**
   * `stream` 1 is standard output, 2 standard error. Called in the order the bytes came. While a promise that it returns is pending,
   * nothing more is read of that stream.
   */
  onOutput(stream: 1 | 2, data: Uint8Array): void | Promise<void>;
  /** Somebody who talks to the process; by default it has no input, and no terminal. */
  readonly dialog?: ProcessDialog;
  /** Aborting ends the process: SIGKILL to everything in the container. */
  readonly signal: AbortSignal;
}

export interface ProcessDialog {
  /** Gives the process a terminal, which then is its standard output and error, too; all it shows is stream 1. */
  readonly terminal?: TerminalSize;
  /** Standard input, until it ends. None by default. Its end is not the end of a terminal. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Called once the process is being started. */
  onStarted(control: ProcessControl): void;
}

/** What is done with a process that has ended has no effect. */
export interface ProcessControl {
  /** Sends a signal to the process itself, by its name (`SIGTERM`) or, if it has none here, its number. */
  signal(signal: NodeJS.Signals | number): void;
  /** Only with a terminal. */
  resize(size: TerminalSize): void;
}

/**
 * Runs steps in containers.
 *
 * `run` resolves when the process ended with a valid exit code and everything it used is unmounted and gone. It throws
 * `unknown` with an `exit` detail for another exit code or a signal (`oom` set when the kernel's OOM killer did
 * it), `canceled` on abort, `not_found` when the command does not exist in the rootfs or the machine lacks a device, and `failed_precondition`
 * when no OCI runtime is installed, or nothing that runs programs of the platform, saying how to get one.
 */
export interface Executor {
  readonly name: string;
  run(spec: ProcessSpec, io: ProcessIo): Promise<void>;
  /**
   * Runs another process in the container that `run` runs, or is about to, under the id `container`. It ends with the container's first process
   * at the latest. Resolves and throws like `run`; `failed_precondition` also when that container has ended.
   */
  exec(container: string, process: OtherProcess, io: ProcessIo): Promise<void>;
  /** Removes what a killed daemon left: containers, cgroups, mounts, bundles. Called once at start. */
  recover(): Promise<void>;
}
