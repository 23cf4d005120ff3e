import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Digest, isDigest } from '../base/digest.ts';
import { reportTransfer } from '../base/report-transfer.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ImageDocument } from '../oci/image-document.ts';
import type { PlatformImage } from '../oci/image-documents.ts';
import type { LoadableImage, LoadContext } from './loader.ts';

/** A registry that has one image, for as long as an engine on this machine takes to pull it. */
export interface LoopbackRegistry extends AsyncDisposable {
  /** `127.0.0.1:port/…`, without a tag. */
  readonly repository: string;
  readonly tag: string;
  /** Whether anybody has come to it yet. */
  wasAsked(): boolean;
}

const tag = 'load';

/**
 * Serves the image for one platform on a loopback port, in a repository whose name nobody can guess: other users of the machine can
 * reach the port. An engine pulls the layers that it lacks, and no others; how far it is, is told as progress.
 */
export async function startLoopbackRegistry(
  image: LoadableImage,
  { manifest, layers, config }: PlatformImage,
  { signal, progress }: LoadContext,
): Promise<LoopbackRegistry> {
  const name = `kiln/${randomBytes(16).toString('hex')}`;
  const root = image.documents.manifests.find(({ descriptor }) => descriptor.digest === manifest.digest)!;
  const blobs = new Map<Digest, Descriptor>(
    [...layers, config.descriptor].map((blob) => [blob.digest, blob] as const),
  );
  let asked = false;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    asked = true;
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'UNSUPPORTED');
    if (pathname === '/v2/' || pathname === '/v2') {
      response.end('{}');
      return;
    }
    const prefix = `/v2/${name}/`;
    const [kind, wanted = ''] = pathname.startsWith(prefix) ? pathname.slice(prefix.length).split('/') : [];
    if (kind === 'manifests' && (wanted === tag || wanted === root.descriptor.digest)) {
      return sendManifest(root, request, response);
    }
    const blob = kind === 'blobs' && isDigest(wanted) ? blobs.get(wanted) : undefined;
    if (blob) return await sendBlob(blob, request, response);
    refuse(response, 404, 'NAME_UNKNOWN');
  };

  const sendBlob = async (blob: Descriptor, request: IncomingMessage, response: ServerResponse) => {
    const { digest, size } = blob;
    const offset = Math.min(size, offsetOf(request.headers.range));
    response.writeHead(offset > 0 ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'content-length': size - offset,
      'docker-content-digest': digest,
      ...(offset > 0 ? { 'content-range': `bytes ${offset}-${size - 1}/${size}` } : {}),
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const report = reportTransfer({ id: digest, name: 'sending', total: size, current: offset }, progress);
    report.reach(offset);
    await pipeline(counted(image.read(digest, offset, signal), report.advance), response, { signal });
    report.complete();
  };

  const server = createServer((request, response) => {
    // Whoever hangs up, or asks for bytes that cannot be read, gets an answer that ends too early, and says so.
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening', { signal });
  const { port } = server.address() as AddressInfo;
  return {
    repository: `127.0.0.1:${port}/${name}`,
    tag,
    wasAsked: () => asked,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function sendManifest(
  { descriptor, bytes }: ImageDocument,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.writeHead(200, {
    'content-type': descriptor.mediaType,
    'content-length': bytes.length,
    'docker-content-digest': descriptor.digest,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message: 'this registry has one image only' }] }));
}

/** Of a range without an end, which is what an interrupted download asks for. */
function offsetOf(range: string | undefined): number {
  const [, digits] = /^bytes=(\d{1,15})-$/.exec(range ?? '') ?? [];
  return Number(digits ?? 0);
}

function counted(chunks: AsyncIterable<Uint8Array>, count: (bytes: number) => void): Readable {
  return Readable.from(
    (async function* () {
      for await (const chunk of chunks) {
        yield chunk;
        count(chunk.length);
      }
    })(),
  );
}
