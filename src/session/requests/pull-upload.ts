import { fromBinary } from '@bufbuild/protobuf';
import { BytesMessageSchema, Upload } from '../../api/gen/session_upload_pb.js';
import { methodPath } from '../../api/unary-call.ts';
import type { Session } from '../session.ts';

/** The host in URLs of what a client uploads through its session. */
export const uploadHost = 'buildkit-session';

/** The keys in a call's metadata that name the upload. */
export const uploadHeaders = { path: 'urlpath', host: 'urlhost' };

/** The bytes of an upload, `http://buildkit-session/ID`. A client gives them once. */
export async function* pullUpload(
  session: Session,
  url: URL,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const metadata = { [uploadHeaders.path]: [url.pathname], [uploadHeaders.host]: [url.host] };
  await using stream = await session.open(methodPath(Upload.method.pull), metadata, signal);
  await stream.closeSend();
  for await (const message of stream) yield fromBinary(BytesMessageSchema, message).data;
}
