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
  const metadata = new Map<string, string[]>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase();
    if (name.startsWith(':') || reserved.has(name)) continue;
    const values = metadata.get(name) ?? [];
    metadata.set(name, values);
    values.push(rawHeaders[index + 1]!);
  }
  return Object.fromEntries(metadata);
}

export function headersOfMetadata(metadata: Metadata): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(metadata).flatMap(([name, values]) => (values.length > 0 ? [[name, [...values]]] : [])),
  );
}
