import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { type Address, formatAddress, parseAddress } from '../api/address.ts';
import { GrpcConnection } from '../api/grpc-connection.ts';
import { abortError } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { ContainerdLoader } from './containerd-loader.ts';
import { DockerLoader } from './docker-loader.ts';
import { EngineHttp } from './engine-http.ts';
import type { Loader, LoaderKind } from './loader.ts';
import { PodmanLoader } from './podman-loader.ts';

/** What the user said of where to load to; nothing is said of what is undefined. */
export interface LoaderChoice {
  readonly kind?: LoaderKind;
  /** Only with a kind. */
  readonly address?: Address;
  /** Of containerd. */
  readonly namespace?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** How long something that runs containers may take to say that it is there, in milliseconds. */
const answerTime = 5_000;

/**
 * Finds what runs containers on this machine: what the choice names, or else the only one that answers. containerd counts only where
 * neither Docker nor Podman is, since Docker has one below it. Throws `failed_precondition` when there is none,
 * `invalid_argument` when there are several, and `unavailable` when what is named does not answer.
 */
export async function findLoader(
  choice: LoaderChoice,
  environment: Environment,
  signal: AbortSignal,
): Promise<Loader> {
  const search = searches(choice, environment);
  if (choice.kind !== undefined) {
    const { addresses, find } = search[choice.kind];
    const found = await find(signal);
    if (found) return found;
    throw new KilnError('unavailable', `${choice.kind} does not answer at ${addresses.join(', ')}`, {
      hint: `check that it runs, and that you may use it; --load=${choice.kind},address=unix://PATH names another place`,
    });
  }
  const [docker, podman] = await Promise.all([search.docker.find(signal), search.podman.find(signal)]);
  if (docker && podman) {
    throw new KilnError('invalid_argument', `--load can mean ${docker.name} or ${podman.name}`, {
      hint: 'name one: --load=docker or --load=podman',
    });
  }
  const found = docker ?? podman ?? (await search.containerd.find(signal));
  if (found) return found;
  throw new KilnError('failed_precondition', 'nothing that runs containers was found on this machine', {
    hint: `looked for ${[search.docker, search.podman, search.containerd].flatMap(({ addresses }) => addresses).join(', ')}. kiln run needs none of them`,
  });
}

interface Search {
  /** Where it looks, for messages. */
  readonly addresses: readonly string[];
  find(signal: AbortSignal): Promise<Loader | undefined>;
}

function searches(
  { address, namespace }: LoaderChoice,
  environment: Environment,
): Record<LoaderKind, Search> {
  const runtimeDirectory = environment.XDG_RUNTIME_DIR;
  const socket = (file: string): Address => ({ kind: 'unix', path: file });
  const own = (file: string) => (runtimeDirectory ? [socket(path.join(runtimeDirectory, file))] : []);
  const given = (variable: string): readonly Address[] | undefined => {
    const text = environment[variable];
    if (!text) return undefined;
    try {
      return [parseAddress(text)];
    } catch (error) {
      throw asKilnError(error).wrap(`$${variable}`);
    }
  };
  const chosen = address && [address];

  const docker = chosen ?? given('DOCKER_HOST') ?? [socket('/var/run/docker.sock'), ...own('docker.sock')];
  const namedPodman = chosen ?? given('CONTAINER_HOST');
  const podman = namedPodman ?? [socket('/run/podman/podman.sock'), ...own('podman/podman.sock')];
  const containerd = chosen ?? [socket(environment.CONTAINERD_ADDRESS || '/run/containerd/containerd.sock')];
  return {
    docker: {
      addresses: docker.map(formatAddress),
      find: (signal) =>
        firstOf(
          docker,
          async (each) => (await engineAt(each, signal)) === 'docker',
          (each) => new DockerLoader(each),
        ),
    },
    podman: {
      addresses: [...podman.map(formatAddress), ...(namedPodman ? [] : ['the program podman'])],
      async find(signal) {
        const service = await firstOf(
          podman,
          async (each) => (await engineAt(each, signal)) === 'podman',
          (each) => PodmanLoader.onSocket(each),
        );
        if (service || namedPodman) return service;
        return (await isProgram('podman', environment.PATH)) ? PodmanLoader.byProgram() : undefined;
      },
    },
    containerd: {
      addresses: containerd.map(formatAddress),
      find: (signal) =>
        firstOf(
          containerd,
          (each) => answersGrpc(each, signal),
          (each) => new ContainerdLoader(each, namespace ?? environment.CONTAINERD_NAMESPACE ?? 'default'),
        ),
    },
  };
}

async function firstOf(
  addresses: readonly Address[],
  isThere: (address: Address) => Promise<boolean>,
  open: (address: Address) => Loader,
): Promise<Loader | undefined> {
  for (const address of addresses) if (await isThere(address)) return open(address);
  return undefined;
}

/** Podman answers Docker's API, too, and says what it is in a header. */
async function engineAt(address: Address, signal: AbortSignal): Promise<LoaderKind | undefined> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(answerTime)]);
  try {
    const answer = await new EngineHttp(address).open({ method: 'GET', path: '/_ping', signal: limit });
    answer.resume();
    return answer.headers['libpod-api-version'] === undefined ? 'docker' : 'podman';
  } catch {
    if (signal.aborted) throw abortError(signal);
    return undefined;
  }
}

async function answersGrpc(address: Address, signal: AbortSignal): Promise<boolean> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(answerTime)]);
  try {
    await using _ = await GrpcConnection.connect(address, { signal: limit });
    return true;
  } catch (error) {
    if (signal.aborted) throw asKilnError(error);
    return false;
  }
}

async function isProgram(name: string, search = ''): Promise<boolean> {
  for (const directory of search.split(':')) {
    const found = await access(path.join(directory, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
