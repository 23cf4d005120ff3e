import { randomUUID } from 'node:crypto';
import { type Address, formatAddress } from '../api/address.ts';
import { Images } from '../api/gen/containerd_images_pb.js';
import { Leases } from '../api/gen/containerd_leases_pb.js';
import { Content } from '../api/gen/content_pb.js';
import { GrpcConnection } from '../api/grpc-connection.ts';
import type { Metadata } from '../api/message-stream.ts';
import { callUnary } from '../api/unary-call.ts';
import { writeContent, writeContentMethod } from '../api/write-content.ts';
import { mapLimit } from '../base/async/lifetime.ts';
import type { Digest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { reportTransfer } from '../base/report-transfer.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ImageDocument } from '../oci/image-document.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { LoadableImage, LoadContext, Loader } from './loader.ts';

/** How long containerd keeps what is written without an image, in milliseconds: whoever writes may be killed. */
const leaseTime = 3_600_000;
/** How long taking the lease away may take, in milliseconds. */
const cleanUpTime = 10_000;
const blobsAtOnce = 4;

/** containerd, by its content store: blobs that it has are not sent. It unpacks the image when a container is first made of it. */
export class ContainerdLoader implements Loader {
  readonly name: string;
  readonly #address: Address;
  readonly #namespace: string;

  constructor(address: Address, namespace: string) {
    this.#address = address;
    this.#namespace = namespace;
    this.name = `containerd at ${formatAddress(address)}, namespace ${namespace}`;
  }

  async load(image: LoadableImage, context: LoadContext): Promise<void> {
    if (image.names.length === 0) {
      throw new KilnError(
        'invalid_argument',
        'containerd knows images by their names, and this one has none',
        {
          hint: 'give --tag NAME',
        },
      );
    }
    const { signal } = context;
    await using connection = await GrpcConnection.connect(this.#address, { signal });
    const lease = randomUUID();
    const namespace: Metadata = { 'containerd-namespace': [this.#namespace] };
    const leased: Metadata = { ...namespace, 'containerd-lease': [lease] };
    const writer = new ContentWriter(connection, leased, image, context);
    await callUnary(
      connection.open.bind(connection),
      Leases.method.create,
      { id: lease, labels: { 'containerd.io/gc.expire': new Date(Date.now() + leaseTime).toISOString() } },
      { metadata: namespace, signal },
    );
    try {
      const { blobs, manifests, root } = image.documents;
      await mapLimit(blobs, blobsAtOnce, (blob, _index, each) => writer.blob(blob, each), signal);
      for (const manifest of manifests) await writer.manifest(manifest, signal);
      for (const name of image.names) await nameImage(connection, namespace, name, root, signal);
    } finally {
      const options = { metadata: namespace, signal: AbortSignal.timeout(cleanUpTime) };
      await callUnary(connection.open.bind(connection), Leases.method.delete, { id: lease }, options).catch(
        (error) => {
          // It expires by itself.
          if (asKilnError(error).code !== 'unavailable') throw error;
        },
      );
    }
  }
}

class ContentWriter {
  readonly #connection: GrpcConnection;
  readonly #metadata: Metadata;
  readonly #image: LoadableImage;
  readonly #progress: LoadContext['progress'];

  constructor(
    connection: GrpcConnection,
    metadata: Metadata,
    image: LoadableImage,
    { progress }: LoadContext,
  ) {
    this.#connection = connection;
    this.#metadata = metadata;
    this.#image = image;
    this.#progress = progress;
  }

  async blob(descriptor: Descriptor, signal: AbortSignal): Promise<void> {
    const { digest, size } = descriptor;
    const image = this.#image;
    const progress = this.#progress;
    const read = async function* (): AsyncGenerator<Uint8Array> {
      const report = reportTransfer({ id: digest, name: 'sending', total: size, current: 0 }, progress);
      for await (const chunk of image.read(digest, 0, signal)) {
        yield chunk;
        report.advance(chunk.length);
      }
      report.complete();
    };
    await this.#write(descriptor, {}, read, signal);
  }

  /** With labels that keep what it refers to. */
  async manifest({ descriptor, bytes }: ImageDocument, signal: AbortSignal): Promise<void> {
    const labels = referenceLabels(bytes, descriptor);
    const read = async function* () {
      yield bytes;
    };
    const outcome = await this.#write(descriptor, labels, read, signal);
    if (outcome === 'written' || Object.keys(labels).length === 0) return;
    await callUnary(
      this.#connection.open.bind(this.#connection),
      Content.method.update,
      {
        info: { digest: descriptor.digest, labels },
        updateMask: { paths: Object.keys(labels).map((label) => `labels.${label}`) },
      },
      { metadata: this.#metadata, signal },
    );
  }

  async #write(
    { digest, size }: { readonly digest: Digest; readonly size: number },
    labels: Readonly<Record<string, string>>,
    read: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<'written' | 'exists'> {
    await using stream = await this.#connection.open(writeContentMethod, this.#metadata, signal);
    return await writeContent(stream, { digest, size, labels }, read);
  }
}

/** containerd collects content that no label of other content refers to. */
function referenceLabels(bytes: Uint8Array, { mediaType }: Descriptor): Readonly<Record<string, string>> {
  const document = parseManifest(bytes, 'manifest', mediaType);
  const label = (kind: string) => `containerd.io/gc.ref.content.${kind}`;
  const numbered = (kind: string, children: readonly Descriptor[]) =>
    children.map(({ digest }, index) => [label(`${kind}.${index}`), digest] as const);
  return Object.fromEntries(
    document.kind === 'index'
      ? numbered('m', document.manifests)
      : [[label('config'), document.config.digest], ...numbered('l', document.layers)],
  );
}

/** Gives the image the name, whatever had it before. */
async function nameImage(
  connection: GrpcConnection,
  metadata: Metadata,
  name: string,
  { mediaType, digest, size }: Descriptor,
  signal: AbortSignal,
): Promise<void> {
  const image = { name, target: { mediaType, digest, size: BigInt(size) } };
  const open = connection.open.bind(connection);
  try {
    await callUnary(open, Images.method.create, { image }, { metadata, signal });
  } catch (error) {
    if (asKilnError(error).code !== 'already_exists') throw error;
    const request = { image, updateMask: { paths: ['target'] } };
    await callUnary(open, Images.method.update, request, { metadata, signal });
  }
}
