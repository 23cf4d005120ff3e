import { MountType } from '../../api/gen/ops_pb.js';
import { type Digest, digestOf } from '../../base/digest.ts';
import { goFields, goJson } from '../../base/json/go-json.ts';
import type { Platform } from '../../base/platform.ts';
import type { ExecMeta, ExecMount, ExecOp } from '../op.ts';
import { cacheSharings, contentCaches, networkModes, securityModes } from '../wire/wire-values.ts';

/**
 * The digest by which BuildKit's cache knows an exec op: everything that decides what the process does, besides its inputs.
 * Proxies, addresses of extra hosts, and names of caches are left out: they lead to the same files. What is mounted of an input
 * is the business of its selector.
 */
export function execCacheDigest(op: ExecOp, platform: Platform): Digest {
  const { os, architecture, variant, osVersion, osFeatures } = platform;
  return digestOf(
    goJson({
      Type: 'buildkit.exec.v0',
      Exec: goFields({
        meta: processFields(op.meta),
        mounts: hasPlainRootOnly(op.mounts) ? [] : op.mounts.map(mountFields),
        network: networkModes.byName[op.network],
        security: securityModes.byName[op.security],
        secretenv: op.secretEnv.map(({ id, name, optional }) => goFields({ ID: id, name, optional })),
        cdiDevices: op.devices.map(({ name, optional }) => goFields({ name, optional })),
      }),
      OS: os,
      Arch: architecture,
      ...goFields({ Variant: variant, OSVersion: osVersion, OSFeatures: osFeatures }),
    }),
  );
}

function processFields(meta: ExecMeta): object {
  return goFields({
    args: meta.args,
    env: meta.env,
    cwd: meta.cwd,
    user: meta.user,
    extraHosts: meta.extraHosts.map(({ host }) => goFields({ Host: host })),
    hostname: meta.hostname,
    ulimit: meta.ulimits.map(({ name, soft, hard }) => goFields({ Name: name, Soft: soft, Hard: hard })),
    cgroupParent: meta.cgroupParent,
    removeMountStubsRecursive: meta.removeMountStubsRecursive,
    validExitCodes: meta.validExitCodes,
  });
}

/** Mounts do not count where the only one is the root that is written to: the plain case of a `RUN`. */
function hasPlainRootOnly(mounts: readonly ExecMount[]): boolean {
  const [root, ...others] = mounts;
  return (
    root !== undefined &&
    others.length === 0 &&
    root.dest === '/' &&
    root.type.kind === 'bind' &&
    !root.readonly &&
    root.resultId === ''
  );
}

function mountFields(mount: ExecMount): object {
  return goFields({
    input: mount.input,
    dest: mount.dest,
    output: mount.output,
    readonly: mount.readonly,
    ...typeFields(mount),
    resultID: mount.resultId,
    contentCache: contentCaches.byName[mount.contentCache],
  });
}

/** Whether the id of a cache mounted at `dest` counts: only the one that a Dockerfile gives it by default does. */
export function countsById(
  { id, sharing }: Pick<Extract<ExecMount['type'], { readonly kind: 'cache' }>, 'id' | 'sharing'>,
  dest: string,
): boolean {
  return sharing === 'shared' && (id === dest || id.slice(id.indexOf('/') + 1) === dest);
}

function typeFields({ type, dest }: ExecMount): { readonly [field: string]: object | number } {
  switch (type.kind) {
    case 'bind':
      return {};
    case 'tmpfs':
      return { mountType: MountType.TMPFS, TmpfsOpt: goFields({ size: type.size }) };
    case 'cache': {
      const { id, sharing } = type;
      const cacheOpt = countsById(type, dest)
        ? goFields({ ID: id, sharing: cacheSharings.byName[sharing] })
        : {};
      return { mountType: MountType.CACHE, cacheOpt };
    }
    case 'secret':
    case 'ssh': {
      const { id, uid, gid, mode, optional } = type;
      const options = goFields({ ID: id, uid, gid, mode, optional });
      return type.kind === 'secret'
        ? { mountType: MountType.SECRET, secretOpt: options }
        : { mountType: MountType.SSH, SSHOpt: options };
    }
  }
}
