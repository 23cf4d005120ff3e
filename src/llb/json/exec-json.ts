import { type Json, nonEmpty } from '../../base/json/json-steps.ts';
import type { ExecMount, ExecOp } from '../op.ts';
import { cacheSharings, contentCaches, networkModes, securityModes } from '../wire/wire-values.ts';

const mountTypes = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;

/** An exec op as Go writes BuildKit's message as JSON: cache digests and provenance are made of it. */
export function execJson({ meta, mounts, network, security, secretEnv, devices }: ExecOp): Json {
  const proxies = meta.proxyEnv;
  return nonEmpty({
    meta: nonEmpty({
      args: [...meta.args],
      env: [...meta.env],
      cwd: meta.cwd,
      user: meta.user,
      proxy_env:
        proxies &&
        nonEmpty({
          http_proxy: proxies.httpProxy,
          https_proxy: proxies.httpsProxy,
          ftp_proxy: proxies.ftpProxy,
          no_proxy: proxies.noProxy,
          all_proxy: proxies.allProxy,
        }),
      extraHosts: meta.extraHosts.map(({ host, ip }) => nonEmpty({ Host: host, IP: ip })),
      hostname: meta.hostname,
      ulimit: meta.ulimits.map(({ name, soft, hard }) => nonEmpty({ Name: name, Soft: soft, Hard: hard })),
      cgroupParent: meta.cgroupParent,
      removeMountStubsRecursive: meta.removeMountStubsRecursive,
      validExitCodes: [...meta.validExitCodes],
    }),
    mounts: mounts.map(mountJson),
    network: networkModes.byName[network],
    security: securityModes.byName[security],
    secretenv: secretEnv.map(({ id, name, optional }) => nonEmpty({ ID: id, name, optional })),
    cdiDevices: devices.map(({ name, optional }) => nonEmpty({ name, optional })),
  });
}

function mountJson({ type, ...mount }: ExecMount): Json {
  return nonEmpty({
    input: mount.input,
    selector: mount.selector,
    dest: mount.dest,
    output: mount.output,
    readonly: mount.readonly,
    mountType: mountTypes[type.kind],
    TmpfsOpt: type.kind === 'tmpfs' ? nonEmpty({ size: type.size }) : undefined,
    cacheOpt:
      type.kind === 'cache'
        ? nonEmpty({ ID: type.id, sharing: cacheSharings.byName[type.sharing] })
        : undefined,
    secretOpt: type.kind === 'secret' ? secretJson(type) : undefined,
    SSHOpt: type.kind === 'ssh' ? secretJson(type) : undefined,
    resultID: mount.resultId,
    contentCache: contentCaches.byName[mount.contentCache],
  });
}

function secretJson(secret: {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}): Json {
  const { id, uid, gid, mode, optional } = secret;
  return nonEmpty({ ID: id, uid, gid, mode, optional });
}
