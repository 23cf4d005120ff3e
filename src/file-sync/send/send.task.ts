import { deferred } from '../../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import { PacketEncoder } from '../protocol/packet.ts';
import { BatchChannel } from '../threads/batch-channel.ts';
import type { ThreadInput } from '../threads/run-in-thread.ts';
import { type SentTree, TreeSender } from './tree-sender.ts';

export interface SendTaskOptions {
  readonly trees: readonly SentTree[];
}

/** The sending end in a thread. */
export default async function sendTask(
  { options, port }: ThreadInput<SendTaskOptions>,
  _context: TaskContext,
): Promise<void> {
  const broken = deferred<never>();
  broken.promise.catch(() => {});
  const encoder = new PacketEncoder();
  const sender = new TreeSender(options.trees, {
    send: (packet) => channel.send(encoder.encode(packet)),
    ready: () => (channel.isFull ? channel.ready() : undefined),
  });
  using channel: BatchChannel<never, never> = new BatchChannel<never, never>(port, {
    message: (message) => sender.receive(message),
    end(error) {
      if (error) broken.reject(error);
      else if (!sender.isDone)
        broken.reject(new KilnError('unavailable', 'the receiver of the files is gone'));
    },
  });
  try {
    await Promise.race([sender.run(), broken.promise]);
    await channel.drained();
  } catch (error) {
    const failure = asKilnError(error);
    sender.stop(failure);
    if (failure.code !== 'canceled') {
      try {
        channel.send(encoder.encode({ kind: 'error', message: failure.message }));
        await channel.drained();
      } catch {
        // Nobody is left to tell.
      }
    }
    throw failure;
  }
}
