import { decodeBytesMessage, encodeBytesMessage } from '../api/bytes-message.ts';
import { FileSend } from '../api/gen/session_filesync_pb.js';
import type { MessageStream, Metadata } from '../api/message-stream.ts';
import { methodPath } from '../api/unary-call.ts';
import { KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { SessionManager } from '../session/session.ts';
import type { AddedFile } from './added-files.ts';
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

/** Which of a client's outputs is meant. */
export interface OutputTarget {
  readonly sessionId: string;
  /** Position among the build's exporters. */
  readonly index: number;
}

/**
 * Sends results to the client that asked for them, over its session (`moby.filesync.v1.FileSend`). Throws
 * `failed_precondition` when the client offers no such service.
 */
export interface ClientOutput {
  /** Opens the client's file for this output. `metadata` is told to the client before any data (the exporter's response). */
  openFile(
    target: OutputTarget,
    metadata: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<OutputFile>;
  /** Copies trees into the client's directory for this output, all in one transfer. */
  sendTrees(
    target: OutputTarget,
    trees: readonly OutputTree[],
    options: {
      readonly signal: AbortSignal;
      /** Remove what the client's directory holds besides. */
      readonly deleteOthers: boolean;
      readonly onProgress: (bytes: number) => void;
    },
  ): Promise<void>;
}

/** Disposing a file that was not closed tells the client that it is not whole. */
export interface OutputFile extends AsyncDisposable {
  /** Waits when the client is slow. Throws `already_exists` when the client does not want the file because it has it. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the file; returns when the client has stored it. */
  close(): Promise<void>;
}

export interface OutputTree {
  /** A directory made for this tree in the output, `linux_arm64`; empty for the output's own root. */
  readonly prefix: string;
  /** A directory with the files, merged; undefined for the empty tree. */
  readonly path: string | undefined;
  /** All files get this time, in seconds since 1970; undefined keeps theirs. Added files have their own. */
  readonly epoch?: number;
  readonly added?: readonly AddedFile[];
}

/** A file is sent as `BytesMessage`s, trees as in file sync, by the threads of `pool`. */
export function createClientOutput(
  sessions: SessionManager,
  { pool }: { readonly pool: ThreadPool },
): ClientOutput {
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
    async openFile(target, metadata, signal) {
      const headers: Record<string, readonly string[]> = {};
      for (const [key, value] of Object.entries(metadata)) {
        headers[`${fileSendHeaders.responsePrefix}${key.toLowerCase()}`] = [headerValue(value)];
      }
      return new SentFile(await open(target, headers, signal));
    },

    async sendTrees(target, trees, options) {
      const sources = trees.map(({ prefix, path, epoch, added }) => ({
        ...(path === undefined ? {} : { dir: path }),
        ...(prefix === '' ? {} : { prefix }),
        ...(epoch === undefined ? {} : { mtime: BigInt(epoch) * 1_000_000_000n }),
        ...(added === undefined ? {} : { added }),
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
class SentFile implements OutputFile {
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
