import { KilnError } from '../../base/errors.ts';
import { reportTransfer } from '../../base/report-transfer.ts';
import type { ContentStore } from '../../content/content.ts';
import { formatReference, repositoryName } from '../../oci/reference.ts';
import { clientAuth, type RegistryCredentials } from '../../registry/client-auth.ts';
import type { Registry } from '../../registry/registry.ts';
import type { ContentClient } from '../../session/requests/content-client.ts';
import type { SessionManager } from '../../session/session.ts';
import { LayoutClients } from '../layout-clients.ts';
import { ResolutionCache } from '../resolution-cache.ts';
import type { SourceContext } from '../source.ts';
import type { BlobPlace } from './blob-place.ts';

export interface BlobFetcherOptions {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly credentials: RegistryCredentials;
  readonly sessions: SessionManager;
}

type RegistryBlob = BlobPlace & { readonly kind: 'registry' };
type LayoutBlobPlace = BlobPlace & { readonly kind: 'layout' };

/** The media type of bytes of which nothing else is known. */
const anyType = 'application/octet-stream';

/** Brings single blobs into the content store. */
export class BlobFetcher {
  readonly #options: BlobFetcherOptions;
  /** By repository and digest. */
  readonly #sizes = new ResolutionCache<number>();

  constructor(options: BlobFetcherOptions) {
    this.#options = options;
  }

  /**
   * Makes sure that the place has the blob: one that is here already may be a secret of somebody else. A repository is not asked again for what the
   * client saw there. Throws `not_found`.
   */
  async find(place: BlobPlace, context: SourceContext): Promise<void> {
    const { signal, sessions } = context;
    if (place.kind === 'registry') await this.#sizeInRegistry(place, context);
    else {
      await new LayoutClients(this.#options.sessions, place.store).any(sessions(), signal, (client) =>
        sizeInLayout(client, place, signal),
      );
    }
  }

  /** Makes the content store have the blob. Throws `not_found` when the place does not. */
  async bring(place: BlobPlace, context: SourceContext): Promise<void> {
    switch (place.kind) {
      case 'registry':
        return await this.#fromRegistry(place, context);
      case 'layout':
        return await this.#fromLayout(place, context);
    }
  }

  /** The bytes of a blob that was brought. */
  read({ digest }: BlobPlace): AsyncIterable<Uint8Array> {
    return this.#options.content.read(digest);
  }

  /** The file of a blob that was brought. */
  file({ digest }: BlobPlace): string {
    const file = this.#options.content.localPath(digest);
    if (file === undefined) throw new KilnError('internal', `${digest} is in no file`);
    return file;
  }

  async #sizeInRegistry({ reference, digest }: RegistryBlob, context: SourceContext): Promise<number> {
    const { registry, credentials } = this.#options;
    const key = `${repositoryName(reference)}@${digest}`;
    return await this.#sizes.get(key, context, async ({ signal, sessions }) => {
      const auth = clientAuth(credentials, sessions());
      const size = await registry.blobSize(reference, digest, { signal, auth });
      if (size === undefined) throw missing(formatReference(reference));
      return size;
    });
  }

  async #fromRegistry(place: RegistryBlob, context: SourceContext): Promise<void> {
    const { signal, progress, sessions } = context;
    const { registry, content, credentials } = this.#options;
    const { reference, digest } = place;
    const size = await this.#sizeInRegistry(place, context);
    const descriptor = { mediaType: anyType, digest, size };
    const report = reportTransfer({ id: digest, name: 'downloading', total: size, current: 0 }, progress);
    await registry.fetchBlob(reference, descriptor, content, {
      signal,
      auth: clientAuth(credentials, sessions()),
      onProgress: report.reach,
    });
    report.reach(size);
    report.complete();
  }

  async #fromLayout(place: LayoutBlobPlace, { signal, progress, sessions }: SourceContext): Promise<void> {
    const { content } = this.#options;
    const { digest, store } = place;
    await new LayoutClients(this.#options.sessions, store).any(sessions(), signal, async (client) => {
      const size = await sizeInLayout(client, place, signal);
      if (await content.stat(digest)) return;
      const report = reportTransfer({ id: digest, name: 'downloading', total: size, current: 0 }, progress);
      await using writer = await content.writer({ digest, size });
      let received = 0;
      for await (const chunk of client.read(digest, 0, signal)) {
        await writer.write(chunk);
        received += chunk.length;
        report.reach(received);
      }
      await writer.commit();
      report.complete();
    });
  }
}

async function sizeInLayout(
  client: ContentClient,
  { name, digest }: LayoutBlobPlace,
  signal: AbortSignal,
): Promise<number> {
  const size = await client.size(digest, signal);
  if (size === undefined) throw missing(`${name}@${digest}`);
  return size;
}

function missing(name: string): KilnError {
  return new KilnError('not_found', `blob ${name}: not found`, {
    hint: 'the digest has to be that of a blob (a layer or a config), and the repository has to have it',
  });
}
