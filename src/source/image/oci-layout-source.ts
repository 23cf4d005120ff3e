import { type Digest, digestOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { type ContentStore, writeBlob } from '../../content/content.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseManifest } from '../../oci/manifest.ts';
import type { LayerImport } from '../../ref/layer-import.ts';
import type { ContentClient } from '../../session/requests/content-client.ts';
import type { SessionManager } from '../../session/session.ts';
import { LayoutClients, type LayoutStore } from '../layout-clients.ts';
import { ResolutionCache } from '../resolution-cache.ts';
import type { ImageResolver, Source, SourceContext } from '../source.ts';
import { resolveAttestationChain } from './attestation-chain.ts';
import { ImageInstance, parseLayerLimit } from './image-instance.ts';
import type { ImageOrigin } from './image-origin.ts';
import { type LoadedImage, loadImage } from './load-image.ts';

const scheme = 'oci-layout';
const maxDocumentSize = 8 * 1024 * 1024;

export interface OciLayoutSourceOptions {
  readonly sessions: SessionManager;
  readonly content: ContentStore;
  readonly layerImport: LayerImport;
}

interface LayoutReference extends LayoutStore {
  readonly name: string;
  readonly digest: Digest;
}

/** `oci-layout://`: images in an OCI layout that the client has, read through its content store service. Named by digest only. */
export function createOciLayoutSource(options: OciLayoutSourceOptions): Source & ImageResolver {
  const cache = new ResolutionCache<LoadedImage>();

  const load = async (reference: LayoutReference, platform: Platform, context: SourceContext) => {
    const origin = layoutOrigin(reference, options);
    const image = await cache.get(JSON.stringify([reference, formatPlatform(platform)]), context, (shared) =>
      loadImage(origin, platform, shared),
    );
    return { image, origin };
  };

  return {
    schemes: [scheme],
    contentOnly: false,

    open(op: SourceOp, platform: Platform) {
      const reference = parseLayoutReference(
        op.identifier.replace(`${scheme}://`, ''),
        op.attrs['oci.session'],
        op.attrs['oci.store'],
      );
      return new ImageInstance({
        name: reference.name,
        platform,
        recordType: 'regular',
        layerLimit: parseLayerLimit(op.attrs['oci.layerlimit']),
        load: (context) => load(reference, platform, context),
        content: options.content,
        layerImport: options.layerImport,
      });
    },

    async resolveConfig(ref, { platform, ociLayout }, context) {
      const reference = parseLayoutReference(ref, ociLayout?.sessionId, ociLayout?.storeId);
      const { image } = await load(reference, platform, context);
      return { ref: reference.name, digest: image.root.digest, config: image.config };
    },

    async resolveAttestations(ref, question, { platform, ociLayout }, context) {
      const reference = parseLayoutReference(ref, ociLayout?.sessionId, ociLayout?.storeId);
      const { image, origin } = await load(reference, platform, context);
      return await resolveAttestationChain(origin, image, question, context);
    },
  };
}

function parseLayoutReference(
  text: string,
  sessionId: string | undefined,
  storeId: string | undefined,
): LayoutReference {
  const digest = text.slice(text.lastIndexOf('@') + 1);
  if (!text.includes('@') || !isDigest(digest)) {
    throw new KilnError(
      'invalid_argument',
      `invalid OCI layout reference ${JSON.stringify(text)}: no digest`,
      {
        hint: 'name the image by its digest: name@sha256:<64 hex digits>',
      },
    );
  }
  // By convention the part before the digest is the name of the store.
  const named = text.slice(0, text.lastIndexOf('@')).replace(/:[^:/]*$/, '');
  return { name: text, digest, sessionId: sessionId ?? '', storeId: storeId || named };
}

function layoutOrigin(
  reference: LayoutReference,
  { sessions, content }: OciLayoutSourceOptions,
): ImageOrigin {
  const clients = new LayoutClients(sessions, reference);

  const document = async (digest: Digest, context: SourceContext): Promise<Uint8Array> => {
    if (await content.stat(digest)) return content.readAll(digest);
    const bytes = await clients.any(context.sessions(), context.signal, (client) =>
      readDocument(client, digest, reference.name, context.signal),
    );
    if (digestOf(bytes) !== digest) {
      throw new KilnError('data_loss', `${reference.name}: the client sent something else than ${digest}`);
    }
    await writeBlob(content, bytes, { digest });
    return bytes;
  };

  return {
    name: reference.name,
    layerAnnotations: {},

    async resolve(context): Promise<Descriptor> {
      const { digest, name } = reference;
      const bytes = await document(digest, context);
      return { mediaType: parseManifest(bytes, name).mediaType, digest, size: bytes.length };
    },

    document: (descriptor, context) => document(descriptor.digest, context),

    isGone: (ids) => clients.isGone(ids),

    layer: (descriptor, store, { signal, sessions: ids, onProgress }) =>
      clients.any(ids, signal, async (client) => {
        await using writer = await store.writer({ digest: descriptor.digest, size: descriptor.size });
        let received = 0;
        for await (const chunk of client.read(descriptor.digest, 0, signal)) {
          await writer.write(chunk);
          received += chunk.length;
          onProgress(received);
        }
        await writer.commit();
      }),
  };
}

async function readDocument(
  client: ContentClient,
  digest: Digest,
  name: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of client.read(digest, 0, signal)) {
    size += chunk.length;
    if (size > maxDocumentSize) {
      throw new KilnError('out_of_range', `${name}: ${digest} is larger than ${maxDocumentSize} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
