import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { MessageStream } from '../../api/message-stream.ts';
import { abortError } from '../../base/async/lifetime.ts';
import { asKilnError, type KilnError } from '../../base/errors.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { BatchChannel } from './batch-channel.ts';

export interface ThreadInput<Options> {
  readonly options: Options;
  readonly port: MessagePort;
}

export interface RelayOptions<FromThread, ToThread> {
  readonly pool: ThreadPool;
  readonly signal?: AbortSignal;
  /** Called with each note of the thread, and with a function that replies to it. */
  readonly onNote?: (note: FromThread, answer: (note: ToThread) => void) => Promise<void>;
  /** Called with the size of each message that arrives on the stream. */
  readonly onReceived?: (bytes: number) => void;
  /** Called with the size of each message sent on the stream. */
  readonly onSent?: (bytes: number) => void;
}

/**
 * Runs one end of a protocol, the task in `module`, in a thread, and relays the messages of `stream` to and from it. The event
 * loop only moves bytes. Resolves with the task's result.
 */
export async function runInThread<Options, Output, FromThread = never, ToThread = never>(
  module: URL,
  options: Options,
  stream: MessageStream,
  relay: RelayOptions<FromThread, ToThread>,
): Promise<Output> {
  const { port1, port2 } = new MessageChannel();
  const stop = new AbortController();
  let broken: KilnError | undefined;
  using channel: BatchChannel<FromThread, ToThread> = new BatchChannel<FromThread, ToThread>(port1, {
    async message(message) {
      relay.onSent?.(message.length);
      await stream.send(message);
    },
    async note(note) {
      await relay.onNote?.(note, (answer) => channel.note(answer));
    },
    end(error) {
      broken ??= error;
      if (error) stop.abort(error);
      else void stream.closeSend();
    },
  });
  const aborted = () => channel.end(abortError(relay.signal!));
  const failed = () => channel.end(stop.signal.reason);
  stop.signal.addEventListener('abort', failed, { once: true });
  relay.signal?.addEventListener('abort', aborted, { once: true });
  void pump(stream, channel, relay);
  try {
    const input: ThreadInput<Options> = { options, port: port2 };
    return await relay.pool.run<ThreadInput<Options>, Output>(module, input, {
      transfer: [port2],
      signal: relay.signal,
    });
  } catch (error) {
    // The reason for giving up counts, not what giving up led to.
    if (relay.signal?.aborted) throw abortError(relay.signal);
    throw broken ?? error;
  } finally {
    relay.signal?.removeEventListener('abort', aborted);
    stop.signal.removeEventListener('abort', failed);
  }
}

async function pump<In, Out>(
  stream: MessageStream,
  channel: BatchChannel<In, Out>,
  relay: { readonly onReceived?: (bytes: number) => void },
): Promise<void> {
  try {
    for await (const message of stream) {
      relay.onReceived?.(message.length);
      channel.send(message);
      if (channel.isFull) await channel.ready();
    }
    channel.end();
  } catch (error) {
    channel.end(asKilnError(error));
  }
}
