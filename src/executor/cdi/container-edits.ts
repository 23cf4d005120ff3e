/** What a device changes in a container, as the CDI specification (1.1.0) names it. Paths of the host are absolute. */
export interface ContainerEdits {
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly netDevices: readonly { readonly hostInterfaceName: string; readonly name: string }[];
  readonly hooks: readonly Hook[];
  readonly mounts: readonly DeviceMount[];
  readonly intelRdt?: IntelRdt;
  readonly additionalGids: readonly number[];
}

/** What is not given is the host's node's, which lies at `hostPath` or else at `path`. */
export interface DeviceNode {
  readonly path: string;
  readonly hostPath?: string;
  readonly type?: DeviceType;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  /** Of `r`, `w` and `m`; all of them by default. */
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Block device, character device (`u`: unbuffered), fifo. */
export type DeviceType = 'b' | 'c' | 'u' | 'p';

export interface DeviceMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options: readonly string[];
  readonly type?: string;
}

export const hookNames = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;

export interface Hook {
  readonly hookName: (typeof hookNames)[number];
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

export interface IntelRdt {
  readonly closID?: string;
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly schemata?: readonly string[];
  readonly enableMonitoring?: boolean;
}

export const noEdits: ContainerEdits = {
  env: [],
  deviceNodes: [],
  netDevices: [],
  hooks: [],
  mounts: [],
  additionalGids: [],
};

/** All of them in order; of `intelRdt` there can be one only, the last. */
export function joinEdits(all: readonly ContainerEdits[]): ContainerEdits {
  return {
    env: all.flatMap(({ env }) => env),
    deviceNodes: all.flatMap(({ deviceNodes }) => deviceNodes),
    netDevices: all.flatMap(({ netDevices }) => netDevices),
    hooks: all.flatMap(({ hooks }) => hooks),
    mounts: all.flatMap(({ mounts }) => mounts),
    intelRdt: all.findLast(({ intelRdt }) => intelRdt)?.intelRdt,
    additionalGids: all.flatMap(({ additionalGids }) => additionalGids),
  };
}
