import type { MessageStream } from '../../api/message-stream.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { runInThread } from '../threads/run-in-thread.ts';
import type { FromReceiver, ToReceiver } from './receive.task.ts';
import type { Baseline, FileDigest, ReceiveResult } from './received-tree.ts';
import type { TreeReceiverOptions } from './tree-receiver.ts';

export type ReceiveTarget =
  /**
   * A new directory, asked for only when something differs from the baseline. In the end it holds exactly what is sent, unless
   * the baseline could be changed to that.
   */
  | {
      readonly kind: 'new-tree';
      readonly baseline: Baseline | undefined;
      makeDirectory(): Promise<string>;
    }
  /** An existing directory that files are added to; with `mirror` everything else in it is removed. */
  | { readonly kind: 'existing-tree'; readonly dir: string; readonly mirror: boolean };

export interface ReceiveOptions {
  readonly pool: ThreadPool;
  readonly signal?: AbortSignal;
  /** Of every file, instead of what the other side says. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /**
   * Only stats travel, and data for what matches the patterns. All stats are left in the tree as `.fsutil-metadata`: each
   * with its length (four bytes, little end first) before it.
   */
  readonly metadataOnly?: { readonly exceptions: readonly string[] };
  readonly onReceived?: (bytes: number) => void;
  /** Called with the digests of the regular files in the new directory, or of those changed in the baseline; some at a time. */
  readonly onDigests?: (digests: readonly FileDigest[]) => void;
}

/**
 * Receives a tree by fsutil's protocol: the other side sends stats, is asked for the data of those that differ, and is told
 * when all is well. Nothing is written outside the directory, whatever the stats say. When it fails, what was written
 * stays, for the owner of the directory to remove.
 */
export async function receiveTree(
  stream: MessageStream,
  target: ReceiveTarget,
  options: ReceiveOptions,
): Promise<ReceiveResult> {
  const baseline = target.kind === 'new-tree' ? target.baseline : undefined;
  const taskOptions: TreeReceiverOptions = {
    target:
      target.kind === 'new-tree'
        ? {
            kind: target.kind,
            baseline: baseline && { manifest: baseline.manifest, superseded: baseline.superseded },
          }
        : { kind: target.kind, dir: target.dir, mirror: target.mirror },
    owner: options.owner,
    metadataOnly: options.metadataOnly,
    wantsDigests: options.onDigests !== undefined,
  };
  return await runInThread<TreeReceiverOptions, ReceiveResult, FromReceiver, ToReceiver>(
    new URL('./receive.task.ts', import.meta.url),
    taskOptions,
    stream,
    {
      pool: options.pool,
      signal: options.signal,
      onReceived: options.onReceived,
      async onNote(note, answer) {
        switch (note.kind) {
          case 'need-directory':
            if (target.kind === 'new-tree') answer({ kind: 'directory', dir: await target.makeDirectory() });
            return;
          case 'need-baseline':
            if (baseline) answer({ kind: 'baseline', ...(await baseline.open(note.wish)) });
            return;
          case 'digests':
            options.onDigests?.(note.digests);
            return;
        }
      },
    },
  );
}
