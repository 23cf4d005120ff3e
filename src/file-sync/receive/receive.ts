import type { MessageStream } from '../../api/message-stream.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { runInThread } from '../threads/run-in-thread.ts';

/** The tree that an earlier sync made, whose files need not be sent again. */
export interface Baseline {
  /** What it holds: the `manifest` that the sync that made it answered. */
  readonly manifest: Uint8Array;
  /** Whether it is of no more use once there is the new tree. */
  readonly superseded: boolean;
  /** Asked when all that differs is here. Who wants to change the tree may be told to read it, because others do. */
  open(wish: BaselineAccess): Promise<OpenBaseline>;
}

/**
 * `change`: the tree becomes the new one, in place. If the sync fails then, it is lost.
 * `read`: what is still the same is copied from it to the new directory.
 */
export type BaselineAccess = 'change' | 'read';

export interface OpenBaseline {
  readonly dir: string;
  readonly access: BaselineAccess;
}

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

/** `path` is a byte string (latin1), see `file-stat`. */
export interface FileDigest {
  readonly path: string;
  /** 64 hex digits; undefined: there is no such file any more. */
  readonly sha256: string | undefined;
}

export type ReceiveResult =
  /** All is as in the baseline; no directory was made. */
  | { readonly kind: 'unchanged' }
  | {
      readonly kind: 'changed';
      /** Files whose data was sent. */
      readonly transferred: number;
      /** Where the tree is: in the new directory, or in the baseline's. */
      readonly made: 'new' | 'in-place';
      /** What the tree holds now, for the next sync. */
      readonly manifest: Uint8Array;
    };

/** What the task needs to know. */
export interface ReceiveTaskOptions {
  readonly target:
    | { readonly kind: 'new-tree'; readonly baseline: Omit<Baseline, 'open'> | undefined }
    | { readonly kind: 'existing-tree'; readonly dir: string; readonly mirror: boolean };
  readonly owner: ReceiveOptions['owner'];
  readonly metadataOnly: ReceiveOptions['metadataOnly'];
  readonly wantsDigests: boolean;
}

export type FromReceiver =
  | { readonly kind: 'need-directory' }
  | { readonly kind: 'need-baseline'; readonly wish: BaselineAccess }
  | { readonly kind: 'digests'; readonly digests: readonly FileDigest[] };
export type ToReceiver =
  | { readonly kind: 'directory'; readonly dir: string }
  | ({ readonly kind: 'baseline' } & OpenBaseline);

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
  const taskOptions: ReceiveTaskOptions = {
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
  return await runInThread<ReceiveTaskOptions, ReceiveResult, FromReceiver, ToReceiver>(
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
