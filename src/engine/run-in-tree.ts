import { randomBytes } from 'node:crypto';
import type { Platform } from '../base/platform.ts';
import type { ProcessIo, ProcessMount } from '../executor/executor.ts';
import type { SolvedRef } from '../frontend/frontend.ts';
import type { OperationServices } from './operations/operation-services.ts';
import { treeOf } from './result/tree-of.ts';

/** A process that is run to try a result. */
export interface TreeProcess {
  readonly platform: Platform;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly hostname: string;
  readonly network: 'sandbox' | 'none';
  readonly readonlyRoot: boolean;
  readonly mounts: readonly ProcessMount[];
}

/** Runs a process on a copy of a result's tree, which goes when the process ends. Fails as `Executor.run` does. */
export async function runInTree(
  { refStore, executor }: Pick<OperationServices, 'refStore' | 'executor'>,
  ref: SolvedRef,
  process: TreeProcess,
  io: ProcessIo,
): Promise<void> {
  const { signal } = io;
  const description = `container of ${process.args.join(' ')}`;
  const tree = await refStore.createMutable(
    await treeOf(ref, signal),
    { description, type: 'internal' },
    { signal },
  );
  try {
    await executor.run(
      {
        ...process,
        id: randomBytes(12).toString('hex'),
        rootfs: await tree.snapshotMount(),
        extraHosts: [],
        security: 'sandbox',
        ulimits: [],
        cgroupParent: '',
        devices: [],
        validExitCodes: [],
        removeMountStubsRecursive: true,
      },
      io,
    );
  } finally {
    await tree.release();
  }
}
