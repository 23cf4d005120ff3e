import type { OutgoingHttpHeaders } from 'node:http2';
import type { Metadata } from './message-stream.ts';

/** Headers of HTTP/2 and gRPC themselves, which are no metadata. */
const reserved = new Set([
  'content-type',
  'te',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
  'connection',
]);

/** The metadata among raw headers (`name, value, name, value, …`), where repeated fields are still apart. */
export function metadataOfHeaders(rawHeaders: readonly string[]): Metadata {
  const metadata: Record<string, string[]> = {};
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase();
    if (name.startsWith(':') || reserved.has(name)) continue;
    metadata[name] ??= [];
    metadata[name].push(rawHeaders[index + 1]!);
  }
  return metadata;
}

export function headersOfMetadata(metadata: Metadata): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, values] of Object.entries(metadata)) {
    if (values.length > 0) headers[name] = [...values];
  }
  return headers;
}
