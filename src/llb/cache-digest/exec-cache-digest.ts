import { type Digest, digestOf } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import { nonEmpty } from '../../base/json/json-steps.ts';
import type { Platform } from '../../base/platform.ts';
import { execJson } from '../json/exec-json.ts';
import type { ExecMount, ExecOp } from '../op.ts';

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
      Exec: execJson({
        ...op,
        meta: {
          ...op.meta,
          proxyEnv: undefined,
          extraHosts: op.meta.extraHosts.map((host) => ({ ...host, ip: '' })),
        },
        mounts: hasPlainRootOnly(op.mounts) ? [] : op.mounts.map(withoutPlace),
      }),
      OS: os,
      Arch: architecture,
      ...nonEmpty({ Variant: variant, OSVersion: osVersion, OSFeatures: osFeatures }),
    }),
  );
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

function withoutPlace(mount: ExecMount): ExecMount {
  const { type, dest } = mount;
  const counts = type.kind !== 'cache' || countsById(type, dest);
  return { ...mount, selector: '', type: counts ? type : { ...type, id: '', sharing: 'shared' } };
}

/** Whether the id of a cache mounted at `dest` counts: only the one that a Dockerfile gives it by default does. */
export function countsById(
  { id, sharing }: Pick<Extract<ExecMount['type'], { readonly kind: 'cache' }>, 'id' | 'sharing'>,
  dest: string,
): boolean {
  return sharing === 'shared' && (id === dest || id.slice(id.indexOf('/') + 1) === dest);
}
