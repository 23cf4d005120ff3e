import { defaultPath } from '../../base/default-path.ts';
import type { LinuxResources } from '../../base/linux-resources.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProcessSpec } from '../../executor/executor.ts';
import type { ExecMeta, ExecOp } from '../../llb/op.ts';
import type { ExecMounts } from './exec-mounts.ts';

/** The process of an exec, and its place: all but the id of its container. `secrets` are variables whose values the op does not have. */
export function execProcess(
  { meta, network, security, devices }: ExecOp,
  platform: Platform,
  resources: LinuxResources | undefined,
  mounts: Pick<ExecMounts, 'rootfs' | 'others' | 'readonlyRoot'>,
  secrets: readonly string[],
): Omit<ProcessSpec, 'id'> {
  return {
    rootfs: mounts.rootfs,
    platform,
    mounts: mounts.others,
    args: meta.args,
    env: [...environment(meta, platform), ...secrets],
    cwd: meta.cwd || '/',
    user: meta.user,
    hostname: meta.hostname,
    extraHosts: meta.extraHosts,
    network,
    security,
    readonlyRoot: mounts.readonlyRoot,
    ulimits: meta.ulimits,
    cgroupParent: meta.cgroupParent,
    devices,
    resources,
    validExitCodes: meta.validExitCodes,
    removeMountStubsRecursive: meta.removeMountStubsRecursive,
  };
}

function environment(meta: ExecMeta, platform: Platform): readonly string[] {
  const env = [...meta.env];
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  const proxies = meta.proxyEnv;
  if (proxies) {
    const names = {
      HTTP_PROXY: proxies.httpProxy,
      HTTPS_PROXY: proxies.httpsProxy,
      FTP_PROXY: proxies.ftpProxy,
      NO_PROXY: proxies.noProxy,
      ALL_PROXY: proxies.allProxy,
    };
    for (const [name, value] of Object.entries(names)) {
      if (value !== '') env.push(`${name}=${value}`, `${name.toLowerCase()}=${value}`);
    }
  }
  if (!has('PATH')) env.push(`PATH=${defaultPath(platform)}`);
  return env;
}
