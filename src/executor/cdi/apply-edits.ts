import path from 'node:path';
import { lastOf } from '../bundle/last-of.ts';
import type { OciMount } from '../mounts/oci-mount.ts';
import type { CompleteNode } from './complete-node.ts';
import type { ContainerEdits, DeviceMount, Hook } from './container-edits.ts';

/** The parts of an OCI runtime configuration that devices change. */
export interface EditableConfig {
  readonly process: {
    readonly env: readonly string[];
    readonly user: { readonly additionalGids: readonly number[] };
  };
  readonly mounts: readonly OciMount[];
  readonly linux: {
    readonly devices: readonly { readonly path: string }[];
    readonly resources: { readonly devices: readonly object[] };
  };
}

export interface DeviceEdits extends Omit<ContainerEdits, 'deviceNodes'> {
  readonly deviceNodes: readonly CompleteNode[];
  /** Paths of nodes that are in the file tree already: the process needs the right to use them only. */
  readonly madeNodes: readonly string[];
}

/** The configuration with what devices bring. What takes the place of something replaces it. */
export function applyEdits<T extends EditableConfig>(config: T, edits: DeviceEdits) {
  const { process, linux } = config;
  const nodes = lastOf(edits.deviceNodes, (node) => node.path);
  const toMake = nodes.filter((node) => !edits.madeNodes.includes(node.path));
  return {
    ...config,
    process: {
      ...process,
      env: withVariables(process.env, edits.env),
      user: {
        ...process.user,
        additionalGids: [
          ...new Set([...process.user.additionalGids, ...edits.additionalGids.filter((gid) => gid !== 0)]),
        ],
      },
    },
    mounts: withMounts(config.mounts, edits.mounts),
    linux: {
      ...linux,
      devices: [
        ...linux.devices.filter((own) => !nodes.some((node) => node.path === own.path)),
        ...toMake.map(({ access: _, ...node }) => node),
      ],
      resources: { ...linux.resources, devices: [...linux.resources.devices, ...nodes.flatMap(rule)] },
      ...(edits.netDevices.length > 0
        ? {
            netDevices: Object.fromEntries(
              edits.netDevices.map(({ hostInterfaceName, name }) => [hostInterfaceName, { name }]),
            ),
          }
        : {}),
      ...(edits.intelRdt ? { intelRdt: edits.intelRdt } : {}),
    },
    ...(edits.hooks.length > 0 ? { hooks: hooksByName(edits.hooks) } : {}),
  };
}

function withVariables(env: readonly string[], more: readonly string[]): readonly string[] {
  const nameOf = (entry: string) => entry.split('=', 1)[0]!;
  const named = new Set(more.map(nameOf));
  return [...env.filter((entry) => !named.has(nameOf(entry))), ...lastOf(more, nameOf)];
}

/** In the order of their depth: none may hide what lies below it. */
function withMounts(mounts: readonly OciMount[], more: readonly DeviceMount[]): readonly OciMount[] {
  if (more.length === 0) return mounts;
  const depth = ({ destination }: OciMount) => destination.split('/').filter(Boolean).length;
  return lastOf([...mounts, ...more.map(deviceMount)], ({ destination }) => destination).sort(
    (a, b) => depth(a) - depth(b),
  );
}

/** A mount without a type shows a file or directory of the host. */
export function deviceMount({ hostPath, containerPath, options, type }: DeviceMount): OciMount {
  const bound = options.includes('bind') || options.includes('rbind');
  return {
    destination: path.posix.resolve('/', containerPath),
    source: hostPath,
    type: type ?? 'bind',
    options: type === undefined && !bound ? ['rbind', ...options] : options,
  };
}

function rule({ type, major, minor, access }: CompleteNode): readonly object[] {
  return type === 'p' ? [] : [{ allow: true, type: type === 'u' ? 'c' : type, major, minor, access }];
}

function hooksByName(hooks: readonly Hook[]): Readonly<Record<string, readonly object[]>> {
  const byName = Map.groupBy(hooks, ({ hookName }) => hookName);
  return Object.fromEntries(
    [...byName].map(([name, all]) => [name, all.map(({ hookName: _, ...hook }) => hook)]),
  );
}
