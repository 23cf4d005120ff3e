import { createClient } from '@connectrpc/connect';
import { Content } from '../api/gen/content_pb.js';
import { Images } from '../api/gen/kiln_images_pb.js';
import { type Digest, digestOf } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import type { Connection } from '../client/connection.ts';
import type { LoadableImage, LoadContext, Loader } from '../loader/loader.ts';
import { readImageDocuments } from '../oci/image-documents.ts';
import { parseDescriptor } from '../oci/manifest.ts';
import { formatReference, parseReference, withDefaultTag } from '../oci/reference.ts';

/** The documents of an image have at most so many bytes each. */
const maxDocumentSize = 16 << 20;

/** Loads the image that a build's response describes, out of the engine that built it. */
export async function loadImage(
  connection: Connection,
  response: Readonly<Record<string, string>>,
  loader: Loader,
  context: LoadContext,
): Promise<void> {
  const described = response['containerimage.descriptor'];
  if (described === undefined) throw new KilnError('internal', 'the engine does not say which image it made');
  const root = parseDescriptor(
    JSON.parse(Buffer.from(described, 'base64').toString('utf8')),
    'the image that was built',
  );
  const given = (response['image.name'] ?? '').split(',').filter((name) => name !== '');
  const references = given.map((name) => withDefaultTag(parseReference(name)));
  const names = references.filter(({ tag }) => tag !== undefined).map(formatReference);
  const content = createClient(Content, connection.transport);
  const images = createClient(Images, connection.transport);
  const read = async function* (digest: Digest, offset: number, signal: AbortSignal) {
    for await (const { data } of content.read({ digest, offset: BigInt(offset) }, { signal })) yield data;
  };
  const readAll = async (digest: Digest): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of read(digest, 0, context.signal)) {
      size += chunk.length;
      if (size > maxDocumentSize) {
        throw new KilnError('out_of_range', `${digest} has more than ${maxDocumentSize} bytes`);
      }
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (digestOf(bytes) !== digest) throw new KilnError('data_loss', `what came is not ${digest}`);
    return bytes;
  };
  const image: LoadableImage = {
    documents: await readImageDocuments(root, { readAll }, 'the image that was built'),
    names: [...new Set(names)],
    read,
    async *archive(platform, signal) {
      const saved = given.length > 0 ? given : [root.digest];
      const request = { names: saved, format: 'docker', platform: formatPlatform(platform) };
      for await (const { data } of images.save(request, { signal })) yield data;
    },
  };
  try {
    await loader.load(image, context);
  } catch (error) {
    throw asKilnError(error).wrap(`failed to load the image into ${loader.name}`);
  }
}

/** Takes the name away that an image without one had meanwhile. */
export async function forgetDangling(
  connection: Connection,
  response: Readonly<Record<string, string>>,
  danglingName: string,
): Promise<void> {
  const images = createClient(Images, connection.transport);
  const names = (response['image.name'] ?? '').split(',');
  for (const name of names.filter((each) => each.startsWith(`${danglingName}@`))) {
    await images.remove({ name }).catch((error) => {
      const { code } = asKilnError(error);
      // Another client has removed it, or the engine keeps no images.
      if (code !== 'not_found' && code !== 'unimplemented') throw error;
    });
  }
}
