import { randomUUID } from 'node:crypto';
import type { ServiceImpl } from '@connectrpc/connect';
import type { StatusResponse } from '../../api/gen/control_pb.js';
import type { Images } from '../../api/gen/kiln_images_pb.js';
import { digestOf } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { type Platform, parsePlatform } from '../../base/platform.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import type { KeptImage } from '../../exporter/image/image-store.ts';
import { KeptImages } from '../../images/kept-images.ts';
import { type PushKeptServices, pushKeptImage } from '../../images/push-kept-image.ts';
import { type ArchiveFormat, saveImages } from '../../images/save-images.ts';
import { readImageDocuments } from '../../oci/image-documents.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import { clientAuth, type RegistryCredentials } from '../../registry/client-auth.ts';
import { BuildProgress } from '../builds/build-progress.ts';
import { imageToMessage } from './image-message.ts';

export interface ImagesServices extends PushKeptServices {
  readonly diskUsage: DiskUsage;
  readonly credentials: RegistryCredentials;
  /** Of archives that have one platform. */
  readonly platform: Platform;
}

/** A message of an archive: clients take 4 MB by default. */
const chunkSize = 1 << 20;

/** Kiln's own API to the images that the engine keeps. */
export function imagesService(services: ImagesServices): ServiceImpl<typeof Images> {
  const { content } = services;
  const kept = new KeptImages(services);
  const describe = async (image: KeptImage, full: boolean) =>
    imageToMessage(image, await readImageDocuments(image.target, content, image.name), { full });

  return {
    async list() {
      return { images: await Promise.all((await kept.list()).map((image) => describe(image, false))) };
    },

    async inspect({ name }) {
      return await describe(await kept.find(name), true);
    },

    async tag({ name, newName }) {
      return { newName: await kept.tag(name, newName) };
    },

    async remove({ name }) {
      const { name: removed, freed } = await kept.remove(name);
      return { name: removed, freedBytes: BigInt(freed) };
    },

    async *push({ name, session, insecure }, { signal }) {
      await using held = await kept.open(name);
      const auth = clientAuth(services.credentials, [session]);
      yield* inProgress(`pushing ${held.image.name}`, signal, (progress) =>
        pushKeptImage(held, { auth, insecure }, services, { signal, progress }),
      );
    },

    async *save({ names, format, platform }) {
      if (names.length === 0) throw new KilnError('invalid_argument', 'no image to save');
      const wanted = platform === '' ? services.platform : parsePlatform(platform);
      await using resources = new AsyncDisposableStack();
      const images = [];
      for (const name of new Set(names)) images.push(resources.use(await kept.open(name)));
      for await (const data of saveImages(images, parseArchiveFormat(format), wanted, content)) {
        for (let at = 0; at < data.length; at += chunkSize) {
          yield { data: data.subarray(at, at + chunkSize) };
        }
      }
    },
  };
}

/** Throws `invalid_argument`. */
function parseArchiveFormat(text: string): ArchiveFormat {
  if (text === 'oci' || text === 'docker') return text;
  throw new KilnError('invalid_argument', `there is no archive format ${JSON.stringify(text)}`, {
    hint: 'use docker or oci',
  });
}

/** Tells of work as a build tells of a step, and throws what the work throws. */
async function* inProgress(
  name: string,
  signal: AbortSignal,
  work: (progress: ProgressWriter) => Promise<void>,
): AsyncGenerator<StatusResponse> {
  const events = new BuildProgress();
  const vertex = { digest: digestOf(randomUUID()), inputs: [], name, started: new Date() };
  events.vertex(vertex);
  const done = work({
    status: (event) => events.status(vertex.digest, event),
    log: (stream, data) => events.log(vertex.digest, stream, data, new Date()),
    warn: (event) => events.warning(vertex.digest, event),
  })
    .then(
      () => events.vertex({ ...vertex, completed: new Date() }),
      (error: unknown) => {
        events.vertex({ ...vertex, completed: new Date(), error: asKilnError(error).message });
        throw error;
      },
    )
    .finally(() => events.end());
  done.catch(() => {});
  yield* events.stream(signal);
  await done;
}
