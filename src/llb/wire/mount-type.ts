import { type Mount, MountType } from '../../api/gen/ops_pb.js';
import type { ExecMount } from '../op.ts';
import { cacheSharings } from './wire-values.ts';

/** What a mount shows. `invalid` makes the error that is thrown for one that makes no sense. */
export function mountTypeOf(mount: Mount, invalid: (problem: string) => Error): ExecMount['type'] {
  switch (mount.type) {
    case MountType.BIND:
      return { kind: 'bind' };
    case MountType.TMPFS:
      return { kind: 'tmpfs', size: Number(mount.tmpfs?.size ?? 0n) };
    case MountType.CACHE: {
      if (!mount.cache) throw invalid(`its cache mount at ${mount.dest} has no options`);
      const sharing = cacheSharings.nameOf(mount.cache.sharing);
      if (!sharing) throw invalid(`the sharing mode of its cache mount at ${mount.dest} is not known`);
      return { kind: 'cache', id: mount.cache.id, sharing };
    }
    case MountType.SECRET:
    case MountType.SSH: {
      const options = mount.type === MountType.SECRET ? mount.secret : mount.ssh;
      const kind = mount.type === MountType.SECRET ? 'secret' : 'ssh';
      if (!options) throw invalid(`its ${kind} mount at ${mount.dest} has no options`);
      const { id, uid, gid, mode, optional } = options;
      return { kind, id, uid, gid, mode, optional };
    }
    default:
      throw invalid(`the type of its mount at ${mount.dest} is not known`);
  }
}
