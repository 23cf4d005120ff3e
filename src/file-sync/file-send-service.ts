import { mkdirSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { decodeBytesMessage } from '../api/bytes-message.ts';
import { FileSend } from '../api/gen/session_filesync_pb.js';
import type { MessageStream, Metadata } from '../api/message-stream.ts';
import { methodPath } from '../api/unary-call.ts';
import { abortable, abortError, deferred } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { Service } from '../session/service-host.ts';
import { fileSendHeaders } from './client-output.ts';
import { receiveTree } from './receive/receive.ts';

/** Where an output of a build goes on the client's side. */
export type ClientSink =
  /** Files are added to a directory, made when missing; with `mirror`, what the build does not have is removed. */
  | { readonly kind: 'directory'; readonly path: string; readonly mirror: boolean }
  /** `open` is told the exporter's response; undefined: the file is there already and is not wanted. The stream is ended here. */
  | {
      readonly kind: 'file';
      open(response: Readonly<Record<string, string>>): Promise<Writable | undefined>;
    };

/** Takes the outputs of a build; keys are their positions among the build's exporters. */
export function fileSendService(
  sinks: ReadonlyMap<number, ClientSink>,
  { pool }: { readonly pool: ThreadPool },
): Service {
  return {
    [methodPath(FileSend.method.diffCopy)]: async ({ metadata, stream, signal }) => {
      const index = Number(metadata[fileSendHeaders.exporter]?.[0] ?? 0) || 0;
      const sink = sinks.get(index);
      if (!sink) throw new KilnError('not_found', `the client expects no output number ${index}`);
      switch (sink.kind) {
        case 'directory': {
          if (sink.mirror && metadata[fileSendHeaders.complete]?.[0] !== '1') {
            throw new KilnError('unimplemented', `this daemon cannot replace the directory ${sink.path}`, {
              hint: 'leave out mode=delete, or use a newer daemon',
            });
          }
          mkdirSync(sink.path, { recursive: true, mode: 0o700 });
          const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
          const target = { kind: 'existing-tree', dir: sink.path, mirror: sink.mirror } as const;
          await receiveTree(stream, target, { pool, signal, owner });
          return;
        }
        case 'file': {
          const writable = await sink.open(responseOf(metadata));
          if (!writable) throw new KilnError('already_exists', 'the output is there already');
          await receiveFile(stream, writable, signal);
          return;
        }
      }
    },
  };
}

function responseOf(metadata: Metadata): Record<string, string> {
  const prefix = fileSendHeaders.responsePrefix;
  return Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, values]) => [key.slice(prefix.length), values.join(',')]),
  );
}

async function receiveFile(stream: MessageStream, writable: Writable, signal: AbortSignal): Promise<void> {
  const failed = deferred<never>();
  failed.promise.catch(() => {});
  writable.on('error', (error) => failed.reject(asKilnError(error)));
  try {
    for await (const message of stream) {
      if (writable.write(decodeBytesMessage(message))) continue;
      const drained = deferred<void>();
      writable.once('drain', () => drained.resolve());
      await abortable(Promise.race([drained.promise, failed.promise]), signal);
    }
    // A caller that gives up may look like one that has finished.
    if (signal.aborted) throw abortError(signal);
    const ended = deferred<void>();
    writable.end(() => ended.resolve());
    await Promise.race([ended.promise, failed.promise]);
  } catch (error) {
    writable.destroy();
    throw error;
  }
}
