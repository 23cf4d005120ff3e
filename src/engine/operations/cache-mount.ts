import { abortable } from '../../base/async/lifetime.ts';
import type { CacheSharing, ExecMount, ExecOp } from '../../llb/op.ts';
import { noIndex } from '../../llb/op.ts';
import type { CacheDirectories, CacheDirectory } from '../../ref/cache-directories.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import { absoluteMounts } from './absolute-mounts.ts';

type CacheType = ExecMount['type'] & { readonly kind: 'cache' };

/** The name of a cache mount's tree, counted together with the tree it started from. */
export function cacheMountKey({ id }: CacheType, { dest }: ExecMount): string {
  return `${keyPrefix}${JSON.stringify(id || dest)}`;
}

const keyPrefix = 'cache:';

/** The tree of a cache mount, kept between builds under its id and the tree it started from. */
export async function acquireCacheMount(
  cache: { readonly key: string; readonly sharing: CacheSharing; readonly owner: string },
  mount: ExecMount,
  base: ImmutableRef | undefined,
  cacheDirectories: CacheDirectories,
  context: OperationContext<JobContext>,
): Promise<CacheDirectory> {
  const { key, sharing, owner } = cache;
  const from = base ? ` with base ${base.id}` : '';
  const id = key.slice(keyPrefix.length);
  if (!base) await bringCacheMount(JSON.parse(id), context);
  using _ = context.waitsFor(
    `the cache mount ${id}${sharing === 'locked' ? ', which one step at a time may use' : ''}`,
  );
  return await cacheDirectories.acquire(key, base, {
    type: 'exec.cachemount',
    description: `cached mount ${mount.dest} from ${owner} with id ${id}${from}`,
    sharing,
    signal: context.signal,
  });
}

/** Gives the builds that run the step the occasion to bring the mount from elsewhere. */
async function bringCacheMount(id: string, context: OperationContext<JobContext>): Promise<void> {
  using _ = context.waitsFor(`the cache mount ${JSON.stringify(id)}, which may come from a remote cache`);
  for (const { mountImports } of context.jobs()) {
    if (mountImports) await abortable(mountImports.bring(id, context.progress), context.signal);
  }
}

/** A step whose cache is to be ignored starts with empty cache mounts, too, and so do all that use them after it. */
export async function dropCacheMounts(op: ExecOp, cacheDirectories: CacheDirectories): Promise<void> {
  for (const mount of absoluteMounts(op)) {
    if (mount.type.kind !== 'cache') continue;
    await cacheDirectories.drop(cacheMountKey(mount.type, mount), {
      withParent: mount.input !== noIndex,
    });
  }
}
