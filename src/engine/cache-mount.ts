import path from 'node:path/posix';
import type { ImmutableRef, NamedMutable, RefStore } from '../layer/ref.ts';
import type { CacheSharing, ExecMount } from '../llb/op.ts';
import type { OperationContext } from '../solver/solver.ts';
import type { BuildContext } from './build-context.ts';

/** The tree of a cache mount, kept between builds under its id and the tree it started from. */
export async function acquireCacheMount(
  cache: { readonly id: string; readonly sharing: CacheSharing; readonly command: string },
  mount: ExecMount,
  base: ImmutableRef | undefined,
  refStore: RefStore,
  context: OperationContext<BuildContext>,
): Promise<NamedMutable> {
  const id = cache.id || path.join('/', mount.dest);
  const from = base ? ` with base ${base.id}` : '';
  using _ = context.waitsFor(
    `the cache mount ${JSON.stringify(id)}${cache.sharing === 'locked' ? ', which one step at a time may use' : ''}`,
  );
  return await refStore.acquireNamed(`cache:${id}:${base?.id ?? ''}`, base, {
    type: 'exec.cachemount',
    description: `cached mount ${mount.dest} from exec ${cache.command} with id ${JSON.stringify(id)}${from}`,
    sharing: cache.sharing,
    signal: context.signal,
  });
}
