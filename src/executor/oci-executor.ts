import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { abortError, mapLimit, throwIfAborted } from '../base/async/lifetime.ts';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import { formatPlatform, hostPlatform } from '../base/platform.ts';
import { unmountBelow } from '../linux/mount-table.ts';
import type { NetworkNamespace } from '../linux/network/network-namespace.ts';
import type { NameRelay } from '../network/names/name-relay.ts';
import type { StepNetwork, StepNetworks } from '../network/step-networks.ts';
import { ContainerBundle } from './bundle/container-bundle.ts';
import { defaultCapabilities } from './bundle/linux-capabilities.ts';
import { openFileLimits } from './bundle/open-file-limits.ts';
import { type DnsOptions, serversOfHostOnly } from './bundle/resolv-conf.ts';
import type { SeccompOptions } from './bundle/runtime-spec.ts';
import { type ContainerEdits, noEdits } from './cdi/container-edits.ts';
import { type DeviceSource, noDevices } from './cdi/device-registry.ts';
import { editsOf } from './cdi/edits-of.ts';
import { ContainerCgroup, cgroupVersion } from './container-cgroup.ts';
import { architectureOfProgram } from './emulation/program-architecture.ts';
import {
  createRunnablePlatforms,
  type RunnablePlatforms,
  type WayToRun,
} from './emulation/runnable-platforms.ts';
import type { Executor, OtherProcess, ProcessIo, ProcessSpec } from './executor.ts';
import { ForcedEnd } from './forced-end.ts';
import { findInContainer, type JudgedExit, judgeExit } from './judge-exit.ts';
import { findOciRuntime, type OciRuntime, runContainer } from './oci-runtime.ts';
import { type ContainerParts, hasEnded, RunningContainer } from './running-container.ts';
import { seccompFilter } from './seccomp/seccomp-filter.ts';
import { seccompProfile } from './seccomp/seccomp-profile.ts';

export interface OciExecutorOptions {
  /** For bundles and the runtime's state; nobody else's. Created if missing. */
  readonly root: string;
  /** `crun`, `runc` or a path; by default crun where there is one, else runc. */
  readonly runtime?: string;
  /** What `network: 'sandbox'` means: the host's (the default), none, or one of its own. */
  readonly sandboxNetwork?: 'host' | 'none' | StepNetworks;
  /** Name servers other than the host's. */
  readonly dns?: DnsOptions;
  /** The host's settings of name servers; `/etc/resolv.conf` by default. */
  readonly resolvConf?: string;
  /** The cgroup below which containers' groups are made where a process names none. */
  readonly cgroupParent?: string;
  /** The devices that processes may ask for; none by default. */
  readonly devices?: DeviceSource;
  /** Which programs this machine can run; by default it is found out below `root`. */
  readonly platforms?: RunnablePlatforms;
}

/** A step's network that is nobody else's. */
interface OwnNetwork extends StepNetwork {
  /** What answers its DNS questions, if it is not what the host's configuration names. */
  readonly nameServer: string | undefined;
}

/** The name of a container that is given none, the same as BuildKit's: programs write it into what they build. */
const defaultHostname = 'buildkitsandbox';

/** An executor over an OCI runtime. The runtime is looked for when a process is first run. Disposing ends what still runs, and waits until nothing of it is left. */
export async function createOciExecutor(options: OciExecutorOptions): Promise<Executor & AsyncDisposable> {
  await mkdir(path.join(options.root, 'state'), { recursive: true, mode: 0o700 });
  // As the kernel's mount table will name it.
  return new OciExecutor(await realpath(options.root), options);
}

class OciExecutor implements Executor, AsyncDisposable {
  readonly name = 'oci';
  readonly #root: string;
  readonly #stateDir: string;
  readonly #options: OciExecutorOptions;
  readonly #host = hostFacts();
  readonly #platforms: RunnablePlatforms;
  readonly #owned = new AsyncDisposableStack();
  readonly #running = new Map<string, RunningContainer>();
  /** Whoever asked for these may have gone without waiting for their end. */
  readonly #runs = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #runtime: Promise<OciRuntime> | undefined;
  #seccomp: SeccompOptions | undefined;

  constructor(root: string, options: OciExecutorOptions) {
    this.#root = root;
    this.#stateDir = path.join(root, 'state');
    this.#options = options;
    this.#platforms = options.platforms ?? this.#owned.use(createRunnablePlatforms({ directory: root }));
  }

  async run(spec: ProcessSpec, io: ProcessIo): Promise<void> {
    const run = this.#run(spec, { ...io, signal: AbortSignal.any([io.signal, this.#closed.signal]) });
    this.#runs.add(run);
    try {
      await run;
    } finally {
      this.#runs.delete(run);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new KilnError('canceled', 'the engine is being closed'));
    await Promise.allSettled(this.#runs);
    await this.#owned.disposeAsync();
  }

  async #run(requested: ProcessSpec, io: ProcessIo): Promise<void> {
    throwIfAborted(io.signal);
    const spec = { ...requested, hostname: requested.hostname || defaultHostname };
    if (spec.args.length === 0) throw new KilnError('invalid_argument', 'the process has no command');
    const container = new RunningContainer(spec.id, this.#stateDir, io.signal);
    this.#running.set(spec.id, container);
    try {
      await using network = await this.#ownNetwork(requested, io.signal);
      await this.#runFirst(container, spec, network ?? this.#sharedNetwork(spec), io);
    } finally {
      this.#running.delete(spec.id);
      await container.end();
    }
  }

  async exec(id: string, process: OtherProcess, io: ProcessIo): Promise<void> {
    throwIfAborted(io.signal);
    const container = this.#running.get(id);
    if (!container) throw hasEnded();
    await container.exec(process, io);
  }

  async recover(): Promise<void> {
    const entries = await readdir(this.#root, { withFileTypes: true });
    const ids = entries
      .filter((entry) => entry.isDirectory() && entry.name !== 'state')
      .map(({ name }) => name);
    await mapLimit(ids, 8, async (id) => {
      const bundle = path.join(this.#root, id);
      await (await leftoverCgroup(bundle, id)).remove();
      unmountBelow(bundle);
      await rm(bundle, { recursive: true, force: true });
    });
    await rm(this.#stateDir, { recursive: true, force: true });
    await mkdir(this.#stateDir, { mode: 0o700 });
  }

  /** Undefined for a process that gets the host's network, or none. */
  async #ownNetwork(
    { network, hostname }: ProcessSpec,
    signal: AbortSignal,
  ): Promise<OwnNetwork | undefined> {
    const { sandboxNetwork } = this.#options;
    if (network !== 'sandbox' || typeof sandboxNetwork !== 'object') return undefined;
    try {
      await using resources = new AsyncDisposableStack();
      const { namespace } = resources.use(await sandboxNetwork.take({ hostname, signal }));
      const relay = await this.#relayNames(namespace);
      if (relay) resources.use(relay);
      const owned = resources.move();
      return {
        namespace,
        nameServer: relay?.address,
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    } catch (error) {
      throw asKilnError(error).wrap('cannot give the step a network');
    }
  }

  /** Undefined where name servers can be asked without help. */
  async #relayNames(namespace: NetworkNamespace): Promise<NameRelay | undefined> {
    const { dns, resolvConf: file } = this.#options;
    const servers = serversOfHostOnly({ dns, file });
    if (servers.length === 0) return undefined;
    const { NameRelay } = await import('../network/names/name-relay.ts');
    return new NameRelay(namespace, servers);
  }

  #sharedNetwork({ network }: ProcessSpec): 'host' | 'none' {
    if (network !== 'sandbox') return network;
    return this.#options.sandboxNetwork === 'none' ? 'none' : 'host';
  }

  async #runFirst(
    container: RunningContainer,
    spec: ProcessSpec,
    network: 'host' | 'none' | OwnNetwork,
    io: ProcessIo,
  ): Promise<void> {
    const platform = spec.platform ?? hostPlatform();
    const runtime = await this.#findRuntime();
    const edits = await this.#deviceEdits(spec);
    const way = await this.#platforms.wayToRun(platform);
    if (way.kind === 'impossible' && platform.os !== 'linux') throw cannotRun(spec, way);
    const cgroup = ContainerCgroup.of(spec.id, spec.cgroupParent || this.#options.cgroupParent || '');
    const options = {
      ...this.#host,
      seccomp: this.#seccompFor(runtime),
      network: typeof network === 'string' ? network : network.namespace,
      cgroupsPath: cgroup.runtimePath,
      names: {
        dns: this.#options.dns,
        file: this.#options.resolvConf,
        relay: typeof network === 'string' ? undefined : network.nameServer,
      },
      edits,
      terminal: io.dialog?.terminal,
      emulator: way.kind === 'emulated' ? way.emulator : undefined,
    };
    const dir = path.join(this.#root, spec.id);
    await using bundle = await ContainerBundle.create(dir, spec, options, io.signal);
    if (way.kind === 'impossible') {
      await bundle.bringAll(io.signal);
      if (!(await this.#beginsHere(spec, bundle))) throw cannotRun(spec, way);
    }
    const exit = await this.#runIn(container, { bundle, cgroup, runtime }, spec, io);
    if (io.signal.aborted) throw abortError(io.signal);
    judgeExit(spec, bundle, exit);
  }

  #findRuntime(): Promise<OciRuntime> {
    this.#runtime ??= findOciRuntime(this.#options.runtime).catch((error) => {
      // Looked for again next time: it may be installed meanwhile.
      this.#runtime = undefined;
      throw error;
    });
    return this.#runtime;
  }

  async #deviceEdits({ devices }: ProcessSpec): Promise<ContainerEdits> {
    if (devices.length === 0) return noEdits;
    const list = await (this.#options.devices ?? noDevices).current();
    return editsOf(list.find(devices));
  }

  /** Whether the process begins with a program that the machine runs, although its platform is another: base images say what they want. */
  async #beginsHere(spec: ProcessSpec, bundle: ContainerBundle): Promise<boolean> {
    const file = findInContainer(spec.args[0]!, spec, bundle);
    const architecture = file && architectureOfProgram(file, (name) => bundle.locate(name));
    if (!architecture) return true;
    const way = await this.#platforms.wayToRun({ os: 'linux', architecture: architecture.name });
    return way.kind === 'direct';
  }

  #seccompFor(runtime: OciRuntime): SeccompOptions | undefined {
    const profile = this.#host.seccompProfile;
    if (!profile) return undefined;
    this.#seccomp ??= { profile, program: runtime.name === 'crun' ? seccompFilter(profile) : undefined };
    return this.#seccomp;
  }

  async #runIn(
    container: RunningContainer,
    parts: ContainerParts,
    spec: ProcessSpec,
    io: ProcessIo,
  ): Promise<JudgedExit> {
    const { bundle, cgroup, runtime } = parts;
    container.made(parts);
    const ending = new ForcedEnd(() => cgroup.kill(), io.signal);
    try {
      const exit = await runContainer(runtime, {
        id: spec.id,
        directory: bundle.dir,
        stateDir: this.#stateDir,
        onOutput: (stream, data) => io.onOutput(stream, data),
        dialog: io.dialog,
        signal: io.signal,
        onStarted: (pid) => ending.start(pid),
      });
      const killed = exit.kind === 'exited' && exit.code === 128 + constants.signals.SIGKILL;
      return { ...exit, oom: killed && !io.signal.aborted && cgroup.oomKilled() };
    } finally {
      ending[Symbol.dispose]();
      await container.end();
      await cgroup.remove();
      await rm(path.join(this.#stateDir, spec.id), { recursive: true, force: true });
    }
  }
}

function cannotRun(
  { args, platform }: ProcessSpec,
  { reason, hint }: Extract<WayToRun, { readonly kind: 'impossible' }>,
): KilnError {
  const command = JSON.stringify(args.join(' '));
  return new KilnError(
    'failed_precondition',
    `cannot run ${command} for ${formatPlatform(platform ?? hostPlatform())}: ${reason}`,
    { hint },
  );
}

/** The cgroup that the bundle's configuration names; the default one when it was not written yet. */
async function leftoverCgroup(bundle: string, id: string): Promise<ContainerCgroup> {
  try {
    const config = JSON.parse(await readFile(path.join(bundle, 'config.json'), 'utf8')) as {
      linux: { cgroupsPath: string };
    };
    return ContainerCgroup.atRuntimePath(config.linux.cgroupsPath);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && !(error instanceof SyntaxError)) throw error;
    return ContainerCgroup.of(id, '');
  }
}

/** What the kernel of this host offers. */
function hostFacts() {
  return {
    cgroupNamespace: cgroupVersion() === 2,
    seccompProfile: /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'))
      ? seccompProfile(defaultCapabilities)
      : undefined,
    openFiles: openFileLimits(),
  };
}
