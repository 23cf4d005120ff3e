import type { Address } from '../api/address.ts';
import { asKilnError } from '../base/errors.ts';
import { hostPlatform } from '../base/platform.ts';
import { withStatus } from '../base/progress.ts';
import { platformImage } from '../oci/image-documents.ts';
import { parseReference, repositoryName } from '../oci/reference.ts';
import { EngineHttp } from './engine-http.ts';
import type { LoadableImage, LoadContext, Loader } from './loader.ts';
import { type LoopbackRegistry, startLoopbackRegistry } from './loopback-registry.ts';

/** How long taking away what a load has left may take, in milliseconds. */
const cleanUpTime = 10_000;

/**
 * Docker, by its API. It is asked to pull the image from a registry on loopback, which it trusts, so that it takes only the layers
 * that it lacks. It gets an archive instead where it cannot reach the registry (a daemon in a virtual machine), and for an image
 * without a name, which a pull cannot make.
 */
export class DockerLoader implements Loader {
  readonly name: string;
  readonly #http: EngineHttp;

  constructor(address: Address) {
    this.#http = new EngineHttp(address);
    this.name = `docker at ${this.#http.address}`;
  }

  async load(image: LoadableImage, context: LoadContext): Promise<void> {
    const chosen = platformImage(image.documents, hostPlatform(), 'the image');
    if (image.names.length === 0) {
      await this.#loadArchive(image, context);
      return;
    }
    await using registry = await startLoopbackRegistry(image, chosen, context);
    try {
      await this.#pull(registry, context);
      for (const name of image.names) await this.#tag(registry, name, context.signal);
    } catch (error) {
      if (registry.wasAsked() || context.signal.aborted) throw error;
      await this.#loadArchive(image, context);
    } finally {
      await this.#forget(registry);
    }
  }

  async #pull({ repository, tag }: LoopbackRegistry, { signal, progress }: LoadContext): Promise<void> {
    const path = `/images/create?${new URLSearchParams({ fromImage: repository, tag })}`;
    await withStatus(progress, 'unpacking', async () => {
      for await (const _ of this.#http.lines({ method: 'POST', path, signal }));
    });
  }

  async #tag(
    { repository, tag: pulled }: LoopbackRegistry,
    name: string,
    signal: AbortSignal,
  ): Promise<void> {
    const reference = parseReference(name);
    const query = new URLSearchParams({ repo: repositoryName(reference), tag: reference.tag! });
    await this.#http.call({ method: 'POST', path: `/images/${repository}:${pulled}/tag?${query}`, signal });
  }

  /** With the tag go the digests that the pull noted for this repository. An image that is not there needs no more. */
  async #forget({ repository, tag }: LoopbackRegistry): Promise<void> {
    const signal = AbortSignal.timeout(cleanUpTime);
    const path = `/images/${repository}:${tag}?noprune=1`;
    await this.#http.call({ method: 'DELETE', path, signal }).catch((error) => {
      const { code } = asKilnError(error);
      if (code !== 'not_found' && code !== 'unavailable') throw error;
    });
  }

  async #loadArchive(image: LoadableImage, { signal, progress }: LoadContext): Promise<void> {
    const body = image.archive(hostPlatform(), signal);
    await withStatus(progress, 'sending tarball', async () => {
      for await (const _ of this.#http.lines({
        method: 'POST',
        path: '/images/load?quiet=1',
        body,
        signal,
      })) {
      }
    });
  }
}
