import path from 'node:path/posix';
import type { ExecMount, ExecOp } from '../../llb/op.ts';

/** A process's mounts, relative places resolved. */
export function absoluteMounts({ mounts, meta }: ExecOp): readonly ExecMount[] {
  return mounts.map((mount) => ({ ...mount, dest: path.resolve('/', meta.cwd, mount.dest) }));
}
