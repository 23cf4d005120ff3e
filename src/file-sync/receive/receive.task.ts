import { deferred } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import { PacketEncoder } from '../protocol/packet.ts';
import { BatchChannel } from '../threads/batch-channel.ts';
import type { ThreadInput } from '../threads/run-in-thread.ts';
import type { BaselineAccess, FileDigest, OpenBaseline, ReceiveResult } from './received-tree.ts';
import { TreeReceiver, type TreeReceiverOptions } from './tree-receiver.ts';

export type FromReceiver =
  | { readonly kind: 'need-directory' }
  | { readonly kind: 'need-baseline'; readonly wish: BaselineAccess }
  | { readonly kind: 'digests'; readonly digests: readonly FileDigest[] };
export type ToReceiver =
  | { readonly kind: 'directory'; readonly dir: string }
  | ({ readonly kind: 'baseline' } & OpenBaseline);

/** The receiving end in a thread: hands what arrives to a TreeReceiver, and its packets back. */
export default async function receiveTask(
  { options, port }: ThreadInput<TreeReceiverOptions>,
  _context: TaskContext,
): Promise<ReceiveResult> {
  const finished = deferred<ReceiveResult>();
  const encoder = new PacketEncoder();
  using channel: BatchChannel<ToReceiver, FromReceiver> = new BatchChannel<ToReceiver, FromReceiver>(port, {
    message: (message) => receiver.receive(message),
    note(note) {
      if (note.kind === 'directory') receiver.setDirectory(note.dir);
      else receiver.setBaseline(note);
    },
    end(error) {
      if (error) finished.reject(error);
      else receiver.end();
    },
  });
  using receiver = new TreeReceiver(options, {
    send: (packet) => channel.send(encoder.encode(packet)),
    askForDirectory: () => channel.note({ kind: 'need-directory' }),
    askForBaseline: (wish) => channel.note({ kind: 'need-baseline', wish }),
    tellDigests: (digests) => channel.note({ kind: 'digests', digests }),
    finished: (result) => finished.resolve(result),
    failed: (error) => finished.reject(error),
  });
  try {
    const result = await finished.promise;
    await channel.drained();
    return result;
  } catch (error) {
    if (error instanceof KilnError && error.code !== 'canceled') {
      try {
        channel.send(encoder.encode({ kind: 'error', message: error.message }));
      } catch {
        // The channel is closed: nobody is left to tell.
      }
    }
    throw error;
  }
}
