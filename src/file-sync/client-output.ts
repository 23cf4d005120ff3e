import { decodeBytesMessage, encodeBytesMessage } from '../api/bytes-message.ts';
import { FileSend } from '../api/gen/session_filesync_pb.js';
import type { MessageStream, Metadata } from '../api/message-stream.ts';
import { methodPath } from '../api/unary-call.ts';
import { KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { SessionManager } from '../session/session.ts';
import { sendTrees } from './send/send.ts';

/** Metadata of a `FileSend/DiffCopy` call. */
export const fileSendHeaders = {
  /** Which of the build's outputs is meant. */
  exporter: 'buildkit-attachable-exporter-id',
  /** `1`: the call carries everything the output consists of, so the client may remove the rest. */
  complete: 'buildkit-exporter-multi-platform',
  /** Before each key of the exporter's response. */
  responsePrefix: 'exporter-md-',
} as const;

/** Below the 4 MB that gRPC takes as one message. */
const chunkBytes = 1024 * 1024;

interface OutputTarget {
  readonly sessionId: string;
  readonly index: number;
}

interface OutputTree {
  readonly prefix: string;
  readonly path: string | undefined;
  /** Seconds since 1970. */
  readonly epoch?: number;
}

/**
 * Sends results to clients over `moby.filesync.v1.FileSend`: a file as `BytesMessage`s, trees as in file sync. Implements the
 * exporters' `ClientOutput`.
 */
export function createClientOutput(sessions: SessionManager, { pool }: { readonly pool: ThreadPool }) {
  const open = async (
    { sessionId, index }: OutputTarget,
    metadata: Metadata,
    signal: AbortSignal,
  ): Promise<MessageStream> => {
    const session = await sessions.get(sessionId, signal);
    const method = methodPath(FileSend.method.diffCopy);
    if (!session.supports(method)) {
      throw new KilnError(
        'failed_precondition',
        'the client takes no files, but the build has an output for it',
        {
          hint: 'name where the output goes, for example with --output type=tar,dest=FILE',
        },
      );
    }
    return await session.open(method, { ...metadata, [fileSendHeaders.exporter]: [String(index)] }, signal);
  };

  return {
    async openFile(target: OutputTarget, metadata: Readonly<Record<string, string>>, signal: AbortSignal) {
      const headers: Record<string, readonly string[]> = {};
      for (const [key, value] of Object.entries(metadata)) {
        headers[`${fileSendHeaders.responsePrefix}${key.toLowerCase()}`] = [headerValue(value)];
      }
      return new OutputFile(await open(target, headers, signal));
    },

    async sendTrees(
      target: OutputTarget,
      trees: readonly OutputTree[],
      options: {
        readonly signal: AbortSignal;
        readonly deleteOthers: boolean;
        readonly onProgress: (bytes: number) => void;
      },
    ): Promise<void> {
      const sources = trees.map(({ prefix, path, epoch }) => ({
        ...(path === undefined ? {} : { dir: path }),
        ...(prefix === '' ? {} : { prefix }),
        ...(epoch === undefined ? {} : { mtime: BigInt(epoch) * 1_000_000_000n }),
      }));
      let sent = 0;
      const send = async (part: typeof sources) => {
        const metadata: Metadata = options.deleteOthers ? { [fileSendHeaders.complete]: ['1'] } : {};
        await using stream = await open(target, metadata, options.signal);
        await sendTrees(stream, part, {
          pool,
          signal: options.signal,
          onSent(bytes) {
            sent += bytes;
            options.onProgress(sent);
          },
        });
      };
      if (sources.every(({ prefix }) => prefix !== undefined) || sources.length <= 1) {
        await send(sources);
      } else if (options.deleteOthers) {
        throw new KilnError(
          'unimplemented',
          'several platforms cannot replace one directory without being split',
          {
            hint: 'leave out platform-split=false, or mode=delete',
          },
        );
      } else {
        for (const source of sources) await send([source]);
      }
    },
  };
}

/** One file of a client, being written. */
class OutputFile implements AsyncDisposable {
  readonly #stream: MessageStream;
  #closed = false;

  constructor(stream: MessageStream) {
    this.#stream = stream;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += chunkBytes) {
      const message = encodeBytesMessage(chunk.subarray(at, at + chunkBytes));
      try {
        await this.#stream.send(message);
      } catch (error) {
        // Why the client ended the call is in the status it ended it with.
        await this.#status();
        throw error;
      }
    }
  }

  async close(): Promise<void> {
    await this.#stream.closeSend();
    await this.#status();
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) await this.#stream[Symbol.asyncDispose]();
  }

  async #status(): Promise<void> {
    for await (const message of this.#stream) decodeBytesMessage(message);
  }
}

/** Metadata is ASCII; what is not is left out by position, as gRPC does. */
function headerValue(value: string): string {
  return value.replaceAll(/[^\x20-\x7e]/g, '?');
}
