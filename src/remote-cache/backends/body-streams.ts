import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { BlobBody } from '../../registry/registry.ts';
import { maxDocumentSize } from '../cache-backend.ts';

/** The bytes of a blob that is sent to a service which does not check digests. Throws `data_loss` if there are more or fewer than the blob has. */
export async function* wholeBlob(
  { digest, size }: Descriptor,
  body: BlobBody,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  let sent = 0;
  for await (const chunk of await body.open(signal)) {
    sent += chunk.length;
    if (sent > size) break;
    yield chunk;
  }
  if (sent !== size) {
    throw new KilnError('data_loss', `what is to be sent is not blob ${digest}, which has ${size} bytes`);
  }
}

/** What comes of an answer's body; its failures are what `toError` makes of them. */
export async function* received(
  body: AsyncIterable<Uint8Array>,
  toError: (error: unknown) => KilnError,
): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    throw toError(error);
  }
}

/** A whole document. Throws `out_of_range` for one that is larger than any that an import reads. */
export async function receivedDocument(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxDocumentSize) {
      throw new KilnError('out_of_range', `the document is larger than ${maxDocumentSize} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The same bytes in pieces of `size`, but for the last one; no piece when there are no bytes. */
export async function* inChunks(data: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Buffer, void> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for await (const piece of data) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + size - length);
      waiting.push(part);
      at += part.length;
      length += part.length;
      if (length < size) continue;
      yield Buffer.concat(waiting);
      waiting = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(waiting);
}

/** An iterator whose first value was taken already, from that value on. */
export async function* continued<T>(
  first: IteratorResult<T, void>,
  rest: AsyncIterator<T, void>,
): AsyncIterable<T> {
  for (let next = first; !next.done; next = await rest.next()) yield next.value;
}

export async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
