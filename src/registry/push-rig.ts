import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { digestOf } from '../base/digest.ts';
import { type ContentStore, writeBlob } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { HttpRig } from '../http/http-rig.ts';
import { type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import { encodeManifest } from '../oci/manifest.ts';
import { type ImageReference, parseReference } from '../oci/reference.ts';
import type { RegistryHosts } from './host-config.ts';
import { createRegistry } from './http-registry.ts';
import { anonymousAuth, type BlobBody, type RegistryAuth, type RegistryContext } from './registry.ts';
import { startRegistry } from './registry-rig.ts';

/** An image that was pushed. */
export interface PushedImage {
  readonly reference: ImageReference;
  readonly layer: Descriptor;
  readonly manifest: Descriptor;
  /** The manifest's. */
  readonly bytes: Uint8Array;
}

/** A server in front of the registry. */
export interface Meddler extends AsyncDisposable {
  readonly host: string;
  readonly requests: readonly IncomingMessage[];
}

/** For tests: a real registry, and images to push to it. */
export interface PushRig extends AsyncDisposable {
  /** The registry's. */
  readonly host: string;
  /** The registry's directory. */
  readonly storage: string;
  readonly directory: string;
  /** Where the blobs of images come from. */
  readonly store: ContentStore;
  /** Where nothing is. */
  readonly fresh: ContentStore;
  blob(bytes: Uint8Array, mediaType: string): Promise<Descriptor>;
  bodyOf(descriptor: Descriptor): BlobBody;
  /** Pushes an image of random bytes. */
  push(host: string, name: string, auth?: RegistryAuth, hosts?: RegistryHosts): Promise<PushedImage>;
  /** Starts a server that can misbehave: `meddle` returns true for a request that it has dealt with; the rest go to the registry. */
  startMeddler(
    meddle: (incoming: IncomingMessage, outgoing: ServerResponse, host: string) => boolean,
  ): Promise<Meddler>;
}

export const quick = { attempts: 4, firstDelay: 1 };

export const access = (auth: RegistryAuth = anonymousAuth): RegistryContext => ({
  signal: AbortSignal.timeout(30_000),
  auth,
});

export const isBlob = ({ method, url }: IncomingMessage) => method === 'GET' && /\/blobs\//.test(url!);

export async function openPushRig(): Promise<PushRig> {
  const directory = await mkdtemp(path.join(tmpdir(), 'kiln-registry-test-'));
  const store = await openLocalContentStore(path.join(directory, 'store'));
  const fresh = await openLocalContentStore(path.join(directory, 'fresh'));
  const real = await startRegistry();
  const blob = async (bytes: Uint8Array, mediaType: string): Promise<Descriptor> => ({
    ...(await writeBlob(store, bytes)),
    mediaType,
  });
  const bodyOf = (descriptor: Descriptor): BlobBody => ({
    open: async (_signal, options) => store.read(descriptor.digest, options),
  });
  return {
    host: real.host,
    storage: real.storage,
    directory,
    store,
    fresh,
    blob,
    bodyOf,
    async push(host, name, auth, hosts) {
      await using registry = createRegistry({ retry: quick, hosts });
      const layer = await blob(randomBytes(300_000), mediaTypes.ociLayer);
      const config = await blob(Buffer.from(JSON.stringify({ author: randomUUID() })), mediaTypes.ociConfig);
      const mediaType = mediaTypes.ociManifest;
      const bytes = encodeManifest({ kind: 'manifest', mediaType, config, layers: [layer] });
      const manifest = { mediaType, digest: digestOf(bytes), size: bytes.length };
      const reference = parseReference(`${host}/${name}`);
      for (const each of [layer, config]) {
        assert.equal(await registry.pushBlob(reference, each, bodyOf(each), access(auth)), 'uploaded');
      }
      await registry.pushManifest(reference, manifest, bytes, access(auth));
      return { reference, layer, manifest, bytes };
    },
    async startMeddler(meddle) {
      const requests: IncomingMessage[] = [];
      const server = await HttpRig.start({
        otherwise(incoming, outgoing) {
          requests.push(incoming);
          if (meddle(incoming, outgoing, server.host)) return;
          const [hostname, port] = real.host.split(':');
          const headers = { ...incoming.headers, host: server.host };
          const forwarded = request(
            { hostname, port, method: incoming.method, path: incoming.url, headers },
            (answer) => {
              outgoing.writeHead(answer.statusCode!, answer.headers);
              answer.pipe(outgoing);
            },
          );
          incoming.pipe(forwarded);
        },
      });
      return { host: server.host, requests, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
    },
    async [Symbol.asyncDispose]() {
      await real[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
