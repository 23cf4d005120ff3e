import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { contained } from '../base/contained.ts';
import { KilnError } from '../base/errors.ts';
import { type StatusTrailers, statusTrailers } from './error.ts';
import { Http2MessageStream } from './http2-message-stream.ts';
import { metadataOfHeaders } from './http2-metadata.ts';
import { NGHTTP2_INTERNAL_ERROR } from './http2-settings.ts';
import type { CallHandler } from './message-stream.ts';

/** What a listener for the calls of a connection takes. */
type IncomingStream = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: string[],
) => void;

/** A listener for calls: one that cannot even be looked at is reset, and nothing else ends of it. */
export function eachCall(serve: IncomingStream): IncomingStream {
  return (stream, ...rest) => {
    stream.on('error', () => {});
    contained(serve, () => stream.close(NGHTTP2_INTERNAL_ERROR))(stream, ...rest);
  };
}

/** Runs `handler` for a call that has just arrived on an HTTP/2 connection, and ends it with the status. */
export function serveCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  handler: CallHandler,
): void {
  const gone = new AbortController();
  let finished = false;
  stream.on('close', () => {
    if (!finished) gone.abort(new KilnError('canceled', 'the caller canceled the call or is gone'));
  });
  const messages = new Http2MessageStream(stream);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  const reset = () => stream.close(NGHTTP2_INTERNAL_ERROR);
  const finish = (trailers: StatusTrailers) => {
    finished = true;
    if (stream.destroyed || stream.closed) return;
    stream.on(
      'wantTrailers',
      contained(() => stream.sendTrailers(trailers), reset),
    );
    messages.discardRest();
    stream.end();
  };
  const run = async () => {
    const call = {
      method: String(headers[':path']),
      metadata: metadataOfHeaders(rawHeaders),
      stream: messages,
      signal: gone.signal,
    };
    const trailers = await handler(call).then(
      () => statusTrailers(),
      (error) => statusTrailers(error ?? new KilnError('unknown', 'the call failed without an error')),
    );
    finish(trailers);
  };
  contained(run, reset)();
}

/** Ends a call to an unknown method as gRPC does: status 200 with UNIMPLEMENTED in the headers. */
export function refuseCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const error = new KilnError('unimplemented', `unknown method ${String(headers[':path'])}`);
  stream.resume();
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...statusTrailers(error) },
    { endStream: true },
  );
}
