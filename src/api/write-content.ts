import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { asKilnError, KilnError } from '../base/errors.ts';
import {
  Content,
  WriteAction,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from './gen/content_pb.js';
import type { MessageStream } from './message-stream.ts';
import { methodPath } from './unary-call.ts';

export const writeContentMethod: string = methodPath(Content.method.write);

/** gRPC servers take messages up to 4 MiB by default. */
const writeSize = 1024 * 1024;

export interface WrittenBlob {
  readonly digest: string;
  readonly size: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * Writes a blob by a call of `writeContentMethod`. `open` is asked for the bytes only if they are needed. Returns whether the blob was
 * there already; it keeps the labels that it had then. Throws `failed_precondition` for bytes that are not the blob's.
 */
export async function writeContent(
  stream: MessageStream,
  { digest, size, labels = {} }: WrittenBlob,
  open: () => AsyncIterable<Uint8Array>,
): Promise<'written' | 'exists'> {
  const answers = stream[Symbol.asyncIterator]();
  const exchange = async (action: WriteAction, offset: number, data: Uint8Array = new Uint8Array()) => {
    const request = create(WriteContentRequestSchema, {
      action,
      ref: digest,
      total: BigInt(size),
      expected: digest,
      offset: BigInt(offset),
      data,
      labels: action === WriteAction.COMMIT ? { ...labels } : {},
    });
    await stream.send(toBinary(WriteContentRequestSchema, request));
    const answer = await answers.next();
    if (answer.done) throw new KilnError('unavailable', `the other side stopped taking blob ${digest}`);
    return fromBinary(WriteContentResponseSchema, answer.value);
  };
  try {
    // The other side may hold a part of it from an earlier try.
    const held = Number((await exchange(WriteAction.STAT, 0)).offset);
    let position = held < size ? 0 : size;
    if (held < size) {
      for await (const chunk of open()) {
        for (let start = 0; start < chunk.length; start += writeSize) {
          const piece = chunk.subarray(start, start + writeSize);
          const fresh = piece.subarray(Math.min(piece.length, Math.max(0, held - position)));
          position += piece.length;
          if (fresh.length > 0) await exchange(WriteAction.WRITE, position - fresh.length, fresh);
        }
      }
    }
    await exchange(WriteAction.COMMIT, position);
    await stream.closeSend();
    return 'written';
  } catch (error) {
    if (asKilnError(error).code !== 'already_exists') throw error;
    return 'exists';
  }
}
