import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import type { Address } from '../api/address.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { hostPlatform } from '../base/platform.ts';
import { withStatus } from '../base/progress.ts';
import { platformImage } from '../oci/image-documents.ts';
import { parseReference, repositoryName } from '../oci/reference.ts';
import { EngineHttp } from './engine-http.ts';
import type { LoadableImage, LoadContext, Loader } from './loader.ts';
import { startLoopbackRegistry } from './loopback-registry.ts';

/** How long taking away what a load has left may take, in milliseconds. */
const cleanUpTime = 10_000;

/** The few things that Podman is asked to do, by its API or by its program. References are `repository:tag`. */
interface Podman {
  readonly name: string;
  /** From a registry without TLS. */
  pull(reference: string, signal: AbortSignal): Promise<void>;
  tag(reference: string, name: string, signal: AbortSignal): Promise<void>;
  /** Takes the name away; the image stays. Throws `not_found` when there is none. */
  untag(reference: string, signal: AbortSignal): Promise<void>;
}

/** Podman is asked to pull the image from a registry on loopback, so that it takes only the layers that it lacks. */
export class PodmanLoader implements Loader {
  readonly name: string;
  readonly #podman: Podman;

  private constructor(podman: Podman) {
    this.#podman = podman;
    this.name = podman.name;
  }

  /** By the API, on a socket. */
  static onSocket(address: Address): PodmanLoader {
    return new PodmanLoader(podmanApi(new EngineHttp(address)));
  }

  /** By the program `podman`, which needs no service. */
  static byProgram(): PodmanLoader {
    return new PodmanLoader(podmanProgram);
  }

  async load(image: LoadableImage, context: LoadContext): Promise<void> {
    const chosen = platformImage(image.documents, hostPlatform(), 'the image');
    await using registry = await startLoopbackRegistry(image, chosen, context);
    const { signal, progress } = context;
    const pulled = `${registry.repository}:${registry.tag}`;
    try {
      await withStatus(progress, 'unpacking', () => this.#podman.pull(pulled, signal));
      for (const name of image.names) await this.#podman.tag(pulled, name, signal);
    } finally {
      await this.#podman.untag(pulled, AbortSignal.timeout(cleanUpTime)).catch((error) => {
        const { code } = asKilnError(error);
        if (code !== 'not_found' && code !== 'unavailable') throw error;
      });
    }
  }
}

const api = '/v4.0.0/libpod/images';

function podmanApi(http: EngineHttp): Podman {
  const named = (reference: string) => {
    const { tag = '', ...repository } = parseReference(reference);
    return new URLSearchParams({ repo: repositoryName(repository), tag });
  };
  return {
    name: `podman at ${http.address}`,
    async pull(reference, signal) {
      const query = new URLSearchParams({ reference, tlsVerify: 'false' });
      for await (const _ of http.lines({ method: 'POST', path: `${api}/pull?${query}`, signal }));
    },
    tag: (reference, name, signal) =>
      http.call({ method: 'POST', path: `${api}/${reference}/tag?${named(name)}`, signal }),
    untag: (reference, signal) =>
      http.call({ method: 'POST', path: `${api}/${reference}/untag?${named(reference)}`, signal }),
  };
}

const podmanProgram: Podman = {
  name: 'podman',
  pull: (reference, signal) => podman(['pull', '--quiet', '--tls-verify=false', reference], signal),
  tag: (reference, name, signal) => podman(['tag', reference, name], signal),
  async untag(reference, signal) {
    await podman(['image', 'exists', reference], signal).catch((error) => {
      throw new KilnError('not_found', `podman has no image ${reference}`, { cause: error });
    });
    await podman(['untag', reference, reference], signal);
  },
};

/** Runs the program; throws what it says on standard error. */
async function podman(args: readonly string[], signal: AbortSignal): Promise<void> {
  const child = spawn('podman', args, { stdio: ['ignore', 'ignore', 'pipe'], signal });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(signal.aborted ? signal.reason : error));
    child.once('close', resolve);
  });
  const [code, said] = await Promise.all([ended, buffer(child.stderr)]);
  if (code === 0) return;
  const reason = said
    .toString('utf8')
    .trim()
    .replace(/^Error: /, '');
  throw new KilnError('unknown', `podman ${args[0]}: ${reason || `ended with code ${code}`}`);
}
