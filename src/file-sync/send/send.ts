import type { MessageStream } from '../../api/message-stream.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { runInThread } from '../threads/run-in-thread.ts';
import type { SendTaskOptions } from './send.task.ts';
import type { SentTree } from './tree-sender.ts';

export interface SendOptions {
  readonly pool: ThreadPool;
  readonly signal?: AbortSignal;
  /** Called with the bytes of each message sent. */
  readonly onSent?: (bytes: number) => void;
}

/**
 * Sends directories by fsutil's protocol, and resolves when the other side has said that it has all it wants. Several trees
 * need different prefixes.
 */
export async function sendTrees(
  stream: MessageStream,
  trees: readonly SentTree[],
  options: SendOptions,
): Promise<void> {
  const module = new URL('./send.task.ts', import.meta.url);
  await runInThread<SendTaskOptions, void>(module, { trees }, stream, {
    pool: options.pool,
    signal: options.signal,
    onSent: options.onSent,
  });
}
