import { posix } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { BytesMessageSchema, Upload } from '../api/gen/session_upload_pb.js';
import { methodPath } from '../api/unary-call.ts';
import { abortable } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { uploadHeaders, uploadHost } from '../session/requests/pull-upload.ts';
import type { Service } from '../session/service-host.ts';

/** By the id in their URLs. Each can be read once. */
export type Uploads = ReadonlyMap<string, AsyncIterable<Uint8Array>>;

/** The URL by which the engine downloads an upload. */
export function uploadUrl(id: string): string {
  return `http://${uploadHost}/${id}`;
}

/** gRPC servers and clients take messages up to 4 MiB by default. */
const chunkBytes = 1024 * 1024;

/** Gives the engine streams that it knows by a URL, such as a context on standard input. */
export function uploadService(uploads: Uploads): Service {
  const left = new Map(uploads);
  return {
    [methodPath(Upload.method.pull)]: async ({ metadata, stream, signal }) => {
      const id = posix.basename(metadata[uploadHeaders.path]?.[0] ?? '');
      const data = left.get(id);
      if (!data)
        throw new KilnError('not_found', `the client has no upload ${JSON.stringify(id)} (any more)`);
      left.delete(id);
      const chunks = data[Symbol.asyncIterator]();
      for (;;) {
        // Not by `for await`, which would wait for the next chunk before it ends.
        const { done, value: chunk } = await abortable(chunks.next(), signal);
        if (done) return;
        for (let start = 0; start < chunk.length; start += chunkBytes) {
          const message = create(BytesMessageSchema, { data: chunk.subarray(start, start + chunkBytes) });
          await stream.send(toBinary(BytesMessageSchema, message));
        }
      }
    },
  };
}
