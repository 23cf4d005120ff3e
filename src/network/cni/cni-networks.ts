import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { abortable, mapLimit, Semaphore } from '../../base/async/lifetime.ts';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { bindMount, unmount } from '../../linux/mount.ts';
import { NetworkControl } from '../../linux/network/network-control.ts';
import { NetworkNamespace } from '../../linux/network/network-namespace.ts';
import { NetworkPool } from '../network-pool.ts';
import type { NetworkRequest, StepNetwork, StepNetworks } from '../step-networks.ts';
import { attach, type CniAttachment, detach, programOf } from './cni-attachment.ts';
import { type CniNetwork, isRecord, parseCniNetwork, readCniNetwork } from './cni-network.ts';

export interface CniOptions {
  /** Where networks are noted that plugins have to take back; nobody else's. */
  readonly directory: string;
  /** Says which plugins make a network. */
  readonly configFile: string;
  /** The directory of the plugins' programs. */
  readonly programs: string;
  readonly poolSize: number;
  /** How long a plugin may take; a minute by default. */
  readonly milliseconds?: number;
  readonly onProblem: (message: string) => void;
}

const patience = 60_000;
/** How many networks are made or taken back at a time: each takes several processes. */
const atOnce = 4;
/** The magic number of the file system that namespaces are files of (linux/magic.h). */
const namespaceFiles = 0x6e736673;

/**
 * Networks that CNI plugins make. What they have set up on the machine only they can take back, also after this process was killed. So each namespace is
 * mounted in a directory of its own, with what plugins have to be told, before they are called for the first time.
 */
export class CniNetworks implements StepNetworks {
  readonly #options: CniOptions;
  readonly #network: CniNetwork;
  readonly #pool: NetworkPool;
  readonly #turns = new Semaphore(atOnce);
  /** Networks that are being taken back. */
  readonly #ending = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  private constructor(options: CniOptions, network: CniNetwork) {
    this.#options = options;
    this.#network = network;
    this.#pool = new NetworkPool({
      size: options.poolSize,
      make: () => this.#make('', this.#closed.signal),
      onProblem: (error) => {
        if (!this.#closed.signal.aborted) options.onProblem(`cannot make a network for a step: ${error}`);
      },
    });
  }

  /** Throws `invalid_argument` or `failed_precondition` when the configuration, or a plugin that it names, cannot be used. */
  static async open(options: CniOptions): Promise<CniNetworks> {
    const network = await readCniNetwork(options.configFile);
    for (const plugin of network.plugins) {
      const program = programOf(plugin, options.programs);
      if (await isExecutable(program)) continue;
      throw new KilnError('failed_precondition', `the CNI plugin ${program} is not installed`, {
        hint: 'say where plugins are with --oci-cni-binary-dir; those of the package containernetworking-plugins are in /usr/lib/cni',
      });
    }
    const networks = new CniNetworks(options, network);
    networks.#pool.fill();
    return networks;
  }

  async take({ hostname, signal }: NetworkRequest): Promise<StepNetwork> {
    const args = argumentsFor(hostname);
    return (args === '' ? this.#pool.take() : undefined) ?? (await this.#make(args, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#pool[Symbol.asyncDispose]();
    // The end of one may begin that of another.
    while (this.#ending.size > 0) await Promise.all(this.#ending);
    if ((await entriesOf(allOf(this.#options.directory))).length === 0) {
      await rm(allOf(this.#options.directory), { recursive: true, force: true });
    }
  }

  /** On abort the network is still made, and taken back then: plugins that are interrupted leave what they cannot take back. */
  async #make(args: string, signal: AbortSignal): Promise<StepNetwork> {
    const turn = await this.#turns.acquire(signal);
    const making = this.#makeWhole(args).finally(() => turn[Symbol.dispose]());
    try {
      return await abortable(making, signal);
    } catch (error) {
      if (signal.aborted) {
        this.#inBackground(
          making.then(
            (network) => network[Symbol.asyncDispose](),
            () => {},
          ),
        );
      }
      throw error;
    }
  }

  async #makeWhole(args: string): Promise<StepNetwork> {
    const { directory, programs, milliseconds = patience } = this.#options;
    const id = randomBytes(16).toString('hex');
    const place = placeOf(directory, id);
    const attachment: CniAttachment = { id, network: this.#network, programs, args };
    const namespace = NetworkNamespace.create();
    try {
      await mkdir(place.directory, { recursive: true, mode: 0o700 });
      await writeFile(place.namespace, '', { mode: 0o600 });
      bindMount(namespace.path, place.namespace);
      await note(place, attachment);
      {
        using inside = namespace.run(() => new NetworkControl());
        inside.setUp('lo');
      }
      const call = { namespace: place.namespace, milliseconds };
      await note(place, { ...attachment, result: await attach(attachment, call) });
      return { namespace, [Symbol.asyncDispose]: async () => this.#end(namespace, id) };
    } catch (error) {
      this.#end(namespace, id);
      throw error;
    }
  }

  /** In the background: nobody waits for it but the end of them all. */
  #end(namespace: NetworkNamespace, id: string): void {
    const { directory, milliseconds, onProblem } = this.#options;
    const end = async () => {
      using _namespace = namespace;
      using _turn = await this.#turns.acquire();
      await takeBack(directory, id, milliseconds);
    };
    this.#inBackground(end().catch((error) => onProblem(`cannot take back the network of a step: ${error}`)));
  }

  #inBackground(work: Promise<void>): void {
    const ending = work.finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }
}

/** Has plugins take back the networks that a killed process left. What they cannot take back is told to `onProblem`, and forgotten. */
export async function removeLeftCniNetworks(
  directory: string,
  onProblem: (message: string) => void,
): Promise<void> {
  await mapLimit(await entriesOf(allOf(directory)), atOnce, async (id) => {
    try {
      await takeBack(directory, id);
    } catch (error) {
      onProblem(`cannot take back a network that a killed daemon left: ${error}`);
    }
  });
  await rm(allOf(directory), { recursive: true, force: true });
}

interface Place {
  readonly directory: string;
  /** Where the namespace is mounted. */
  readonly namespace: string;
  readonly note: string;
}

function allOf(directory: string): string {
  return path.join(directory, 'cni');
}

function placeOf(directory: string, id: string): Place {
  const own = path.join(allOf(directory), id);
  return { directory: own, namespace: path.join(own, 'namespace'), note: path.join(own, 'attachment.json') };
}

/** The namespace ends whatever plugins say; the note of what they still have to take back stays if they fail, for another try at the next start. */
async function takeBack(directory: string, id: string, milliseconds = patience): Promise<void> {
  const place = placeOf(directory, id);
  try {
    const attachment = await noted(place, id);
    const namespace = (await isNamespace(place.namespace)) ? place.namespace : undefined;
    if (attachment) await detach(attachment, { namespace, milliseconds });
  } finally {
    unmount(place.namespace);
  }
  await rm(place.directory, { recursive: true, force: true });
}

async function note({ note: file }: Place, attachment: CniAttachment): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(attachment), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Undefined when plugins were never called, or nobody can say for what. */
async function noted({ note: file }: Place, id: string): Promise<CniAttachment | undefined> {
  let written: unknown;
  try {
    written = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!isRecord(written)) return undefined;
  const { network, programs, args, result } = written;
  if (typeof programs !== 'string' || typeof args !== 'string') return undefined;
  const parsed = parseCniNetwork(withConfigs(network), file);
  return { id, network: parsed, programs, args, result: isRecord(result) ? result : undefined };
}

/** A network that was written down, in the form of a configuration. */
function withConfigs(network: unknown): unknown {
  if (!isRecord(network) || !Array.isArray(network.plugins)) return network;
  return {
    ...network,
    plugins: network.plugins.map((plugin) => (isRecord(plugin) ? plugin.config : plugin)),
  };
}

/** What plugins are told besides, in the words of Kubernetes, which they know: the name that a step asked for. A text that says more than a name is not passed on. */
function argumentsFor(hostname: string): string {
  return /^[A-Za-z0-9.-]+$/.test(hostname) ? `IgnoreUnknown=1;K8S_POD_NAME=${hostname}` : '';
}

async function isNamespace(file: string): Promise<boolean> {
  try {
    return (await statfs(file)).type === namespaceFiles;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function entriesOf(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
