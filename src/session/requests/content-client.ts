import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  InfoRequestSchema,
  InfoResponseSchema,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
} from '../../api/gen/content_pb.js';
import { writeContent } from '../../api/write-content.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { Session } from '../session.ts';

const service = '/containerd.services.content.v1.Content';
const storeHeader = 'buildkit-attachable-store-id';

/** One of the content stores that a client offers: an OCI layout to build from (`oci:<name>`), or to export to (`export`). */
export interface ContentClient {
  /** The blob's size in bytes; undefined when the client does not have it. */
  size(digest: string, signal?: AbortSignal): Promise<number | undefined>;
  /** Throws `not_found`. */
  read(digest: string, offset: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Writing a blob that is there already is no error. */
  write(
    blob: { readonly digest: string; readonly size: number },
    chunks: AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<void>;
}

/** Throws `failed_precondition` when the client offers no content at all. */
export function createContentClient(session: Session, storeId: string): ContentClient {
  // As in Go, whose clients and servers agree on what metadata may hold.
  if (/[^\x20-\x7e]/.test(storeId)) {
    throw new KilnError(
      'invalid_argument',
      `header key "${storeHeader}" contains value with non-printable ASCII characters`,
      { hint: `use letters of ASCII for the directory ${JSON.stringify(storeId)}` },
    );
  }
  const method = (name: string): string => `${service}/${name}`;
  if (!session.supports(method('Read'))) {
    throw new KilnError('failed_precondition', `the client does not offer the content store ${storeId}`, {
      hint: 'name the OCI layout when starting the build, for example with --oci-layout name=directory',
    });
  }
  const open = (name: string, signal?: AbortSignal) =>
    session.open(method(name), { [storeHeader]: [storeId] }, signal);

  return {
    async size(digest, signal) {
      await using stream = await open('Info', signal);
      await stream.send(toBinary(InfoRequestSchema, create(InfoRequestSchema, { digest })));
      await stream.closeSend();
      try {
        for await (const message of stream) {
          const { info } = fromBinary(InfoResponseSchema, message);
          return info ? Number(info.size) : undefined;
        }
      } catch (error) {
        if (asKilnError(error).code !== 'not_found') throw error;
      }
      return undefined;
    },

    async *read(digest, offset, signal) {
      await using stream = await open('Read', signal);
      const request = create(ReadContentRequestSchema, { digest, offset: BigInt(offset) });
      await stream.send(toBinary(ReadContentRequestSchema, request));
      await stream.closeSend();
      for await (const message of stream) yield fromBinary(ReadContentResponseSchema, message).data;
    },

    async write(blob, chunks, signal) {
      await using stream = await open('Write', signal);
      await writeContent(stream, blob, () => chunks);
    },
  };
}
