import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  Content,
  ListContentResponseSchema,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  WriteAction,
  type WriteContentRequest,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from '../api/gen/content_pb.js';
import type { IncomingCall } from '../api/message-stream.ts';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import { type Digest, isDigest, parseDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Service } from '../session/service-host.ts';
import { type LayoutBlob, LayoutBlobs, type LayoutBlobWriter } from './layout-blobs.ts';

/** The key in a call's metadata that names one of the client's stores. */
const storeHeader = 'buildkit-attachable-store-id';
/** Bytes of a blob in one message. */
const chunkBytes = 1024 * 1024;

/**
 * containerd's content service over OCI image layouts, by store name (`oci:<name>` for layouts to build from, `export` for one
 * to export to). Blobs that are half written are not kept for a later try.
 */
export function contentService(layouts: ReadonlyMap<string, string>): Service {
  const stores = new Map([...layouts].map(([name, dir]) => [name, new LayoutBlobs(dir)]));
  const storeOf = ({ metadata }: IncomingCall): LayoutBlobs => {
    const name = metadata[storeHeader]?.[0];
    if (name === undefined)
      throw new KilnError('invalid_argument', `the call lacks the metadata ${storeHeader}`);
    const store = stores.get(name);
    if (!store)
      throw new KilnError('not_found', `the client offers no content store ${JSON.stringify(name)}`);
    return store;
  };

  return {
    [methodPath(Content.method.info)]: unaryHandler(Content.method.info, async (request, call) => {
      const digest = parseDigest(request.digest);
      const blob = await storeOf(call).stat(digest);
      if (!blob) throw new KilnError('not_found', `the layout has no blob ${digest}`);
      return { info: infoOf(blob) };
    }),
    [methodPath(Content.method.read)]: async (call) => read(storeOf(call), call),
    [methodPath(Content.method.list)]: async (call) => list(storeOf(call), call),
    [methodPath(Content.method.write)]: async (call) => write(storeOf(call), call),
    [methodPath(Content.method.status)]: unaryHandler(Content.method.status, async ({ ref }) => {
      throw new KilnError('not_found', `nothing is being written as ${ref}`);
    }),
    [methodPath(Content.method.listStatuses)]: unaryHandler(Content.method.listStatuses, async () => ({})),
    [methodPath(Content.method.abort)]: unaryHandler(Content.method.abort, async () => ({})),
    // Labels are not kept, which no caller relies on.
    [methodPath(Content.method.update)]: unaryHandler(Content.method.update, async ({ info }, call) => {
      const digest = parseDigest(info?.digest ?? '');
      const blob = await storeOf(call).stat(digest);
      if (!blob) throw new KilnError('not_found', `the layout has no blob ${digest}`);
      return { info: infoOf(blob) };
    }),
  };
}

function infoOf({ digest, size, modifiedAt }: LayoutBlob) {
  const time = timestampFromDate(modifiedAt);
  return { digest, size: BigInt(size), createdAt: time, updatedAt: time };
}

async function read(store: LayoutBlobs, { stream }: IncomingCall): Promise<void> {
  for await (const message of stream) {
    const request = fromBinary(ReadContentRequestSchema, message);
    await using file = await store.open(parseDigest(request.digest));
    const { size } = await file.stat();
    let offset = Number(request.offset);
    const end = request.size > 0n ? Math.min(size, offset + Number(request.size)) : size;
    if (offset > size) throw new KilnError('out_of_range', `blob ${request.digest} has only ${size} bytes`);
    while (offset < end) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - offset));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, offset);
      if (bytesRead === 0) throw new KilnError('data_loss', `blob ${request.digest} is shorter than it was`);
      const response = create(ReadContentResponseSchema, {
        offset: BigInt(offset),
        data: chunk.subarray(0, bytesRead),
      });
      await stream.send(toBinary(ReadContentResponseSchema, response));
      offset += bytesRead;
    }
    return;
  }
}

async function list(store: LayoutBlobs, { stream }: IncomingCall): Promise<void> {
  for await (const blob of store.list()) {
    const response = create(ListContentResponseSchema, { info: [infoOf(blob)] });
    await stream.send(toBinary(ListContentResponseSchema, response));
  }
}

/** Answers each request before it reads the next. Throws `already_exists` for a blob that is there. */
async function write(store: LayoutBlobs, { stream }: IncomingCall): Promise<void> {
  await using writer = await store.writer();
  const expected = { digest: '', size: 0 };
  for await (const message of stream) {
    const request = fromBinary(WriteContentRequestSchema, message);
    if (request.expected !== '') {
      expected.digest = request.expected;
      if (isDigest(request.expected) && (await store.stat(request.expected))) {
        throw new KilnError('already_exists', `the layout has blob ${request.expected}`);
      }
    }
    if (request.total > 0n) expected.size = Number(request.total);
    const response = await writeStep(writer, request, expected);
    await stream.send(toBinary(WriteContentResponseSchema, create(WriteContentResponseSchema, response)));
  }
}

async function writeStep(
  writer: LayoutBlobWriter,
  request: WriteContentRequest,
  expected: { readonly digest: string; readonly size: number },
): Promise<MessageInitShape<typeof WriteContentResponseSchema>> {
  const { action } = request;
  let digest: Digest | undefined;
  if (action !== WriteAction.STAT) {
    if (Number(request.offset) !== writer.size) {
      throw new KilnError('out_of_range', `a write at ${request.offset} must be at ${writer.size}`);
    }
    if (request.data.length > 0) await writer.write(request.data);
    if (action === WriteAction.COMMIT) digest = await writer.commit(expected);
  }
  const now = timestampFromDate(new Date());
  return {
    action,
    offset: BigInt(writer.size),
    total: BigInt(expected.size),
    digest: digest ?? '',
    startedAt: now,
    updatedAt: now,
  };
}
