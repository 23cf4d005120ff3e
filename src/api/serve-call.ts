import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { KilnError } from '../base/errors.ts';
import { statusTrailers } from './error.ts';
import { Http2MessageStream } from './http2-message-stream.ts';
import { metadataOfHeaders } from './http2-metadata.ts';
import type { CallHandler } from './message-stream.ts';

/** Runs `handler` for a call that has just arrived on an HTTP/2 connection, and ends it with the status. Never throws. */
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
  const finish = (error?: unknown) => {
    finished = true;
    if (stream.destroyed || stream.closed) return;
    stream.on('wantTrailers', () => stream.sendTrailers(statusTrailers(error)));
    messages.discardRest();
    stream.end();
  };
  handler({
    method: String(headers[':path']),
    metadata: metadataOfHeaders(rawHeaders),
    stream: messages,
    signal: gone.signal,
  }).then(
    () => finish(),
    (error) => finish(error ?? new KilnError('unknown', 'the call failed without an error')),
  );
}

/** Answers a call that nobody serves, as gRPC does: status 200 with UNIMPLEMENTED in the headers. */
export function refuseCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const error = new KilnError('unimplemented', `unknown method ${String(headers[':path'])}`);
  stream.on('error', () => {});
  stream.resume();
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...statusTrailers(error) },
    { endStream: true },
  );
}
