import { readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { abortError, mapLimit, throwIfAborted } from '../base/async/lifetime.ts';
import { type ErrorDetail, errnoOf, KilnError } from '../base/errors.ts';
import { formatPlatform, hostPlatform } from '../base/platform.ts';
import { unmountBelow } from '../linux/mount-table.ts';
import { ContainerBundle } from './bundle/container-bundle.ts';
import { defaultCapabilities } from './bundle/linux-capabilities.ts';
import { openFileLimits } from './bundle/open-file-limits.ts';
import type { DnsOptions } from './bundle/resolv-conf.ts';
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
import type { Executor, ProcessIo, ProcessSpec } from './executor.ts';
import { type ContainerExit, findOciRuntime, type OciRuntime, runContainer } from './oci-runtime.ts';
import { seccompFilter } from './seccomp/seccomp-filter.ts';
import { seccompProfile } from './seccomp/seccomp-profile.ts';

export interface OciExecutorOptions {
  /** For bundles and the runtime's state; nobody else's. Created if missing. */
  readonly root: string;
  /** `crun`, `runc` or a path; by default crun where there is one, else runc. */
  readonly runtime?: string;
  /** What `network: 'sandbox'` means. Default `host`. */
  readonly networkMode?: 'host' | 'none';
  /** Name servers other than the host's. */
  readonly dns?: DnsOptions;
  /** The cgroup below which containers' groups are made where a process names none. */
  readonly cgroupParent?: string;
  /** The devices that processes may ask for; none by default. */
  readonly devices?: DeviceSource;
  /** Which programs this machine can run; by default it is found out below `root`. */
  readonly platforms?: RunnablePlatforms;
}

/** The name of a container that is given none, the same as BuildKit's: programs write it into what they build. */
const defaultHostname = 'buildkitsandbox';
/** How often a container that is being ended is killed again, and when its runtime is too, in milliseconds. */
const killInterval = 10;
const killRuntimeAfter = 10_000;

/** An executor over an OCI runtime. The runtime is looked for when a process is first run. */
export async function createOciExecutor(options: OciExecutorOptions): Promise<Executor> {
  await mkdir(path.join(options.root, 'state'), { recursive: true, mode: 0o700 });
  // As the kernel's mount table will name it.
  return new OciExecutor(await realpath(options.root), options);
}

class OciExecutor implements Executor {
  readonly name = 'oci';
  readonly #root: string;
  readonly #stateDir: string;
  readonly #options: OciExecutorOptions;
  readonly #host = hostFacts();
  readonly #platforms: RunnablePlatforms;
  #runtime: Promise<OciRuntime> | undefined;
  #seccomp: SeccompOptions | undefined;

  constructor(root: string, options: OciExecutorOptions) {
    this.#root = root;
    this.#stateDir = path.join(root, 'state');
    this.#options = options;
    this.#platforms = options.platforms ?? createRunnablePlatforms({ directory: root });
  }

  async run(requested: ProcessSpec, io: ProcessIo): Promise<void> {
    throwIfAborted(io.signal);
    const spec = { ...requested, hostname: requested.hostname || defaultHostname };
    if (spec.args.length === 0) throw new KilnError('invalid_argument', 'the process has no command');
    const platform = spec.platform ?? hostPlatform();
    const runtime = await this.#findRuntime();
    const edits = await this.#deviceEdits(spec);
    const way = await this.#platforms.wayToRun(platform);
    if (way.kind === 'impossible' && platform.os !== 'linux') throw cannotRun(spec, way);
    const cgroup = ContainerCgroup.of(spec.id, spec.cgroupParent || this.#options.cgroupParent || '');
    await using bundle = await ContainerBundle.create(path.join(this.#root, spec.id), spec, {
      ...this.#host,
      seccomp: this.#seccompFor(runtime),
      network: spec.network === 'sandbox' ? (this.#options.networkMode ?? 'host') : spec.network,
      cgroupsPath: cgroup.runtimePath,
      dns: this.#options.dns,
      edits,
      terminal: io.dialog?.terminal,
      emulator: way.kind === 'emulated' ? way.emulator : undefined,
    });
    if (way.kind === 'impossible' && !(await this.#beginsHere(spec, bundle))) throw cannotRun(spec, way);
    const exit = await this.#runIn(bundle, cgroup, runtime, spec, io);
    if (io.signal.aborted) throw abortError(io.signal);
    judge(spec, bundle, exit);
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
    bundle: ContainerBundle,
    cgroup: ContainerCgroup,
    runtime: OciRuntime,
    spec: ProcessSpec,
    io: ProcessIo,
  ): Promise<ContainerExit & { readonly oom: boolean }> {
    const ending = new ContainerEnding(cgroup, io.signal);
    try {
      const exit = await runContainer(runtime, {
        id: spec.id,
        bundle: bundle.dir,
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
      await cgroup.remove();
      await rm(path.join(this.#stateDir, spec.id), { recursive: true, force: true });
    }
  }
}

/** Ends a container when a signal aborts: kills what is in its cgroup until the runtime has noticed and ended too. */
class ContainerEnding implements Disposable {
  readonly #cgroup: ContainerCgroup;
  readonly #signal: AbortSignal;
  #runtimePid = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(cgroup: ContainerCgroup, signal: AbortSignal) {
    this.#cgroup = cgroup;
    this.#signal = signal;
  }

  /** To be called with the runtime's process, the leader of its process group. */
  start(runtimePid: number): void {
    this.#runtimePid = runtimePid;
    this.#signal.addEventListener('abort', this.#end, { once: true });
    if (this.#signal.aborted) this.#end();
  }

  /** A container that is still being set up has an empty cgroup, so once is not enough. */
  readonly #end = (): void => {
    if (this.#timer) return;
    const began = Date.now();
    this.#cgroup.kill();
    this.#timer = setInterval(() => {
      this.#cgroup.kill();
      if (Date.now() - began > killRuntimeAfter) killGroup(this.#runtimePid);
    }, killInterval);
  };

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#signal.removeEventListener('abort', this.#end);
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** Returns when the process ended as it should, throws what went wrong otherwise. */
function judge(
  spec: ProcessSpec,
  bundle: ContainerBundle,
  exit: ContainerExit & { readonly oom: boolean },
): void {
  const command = JSON.stringify(spec.args.join(' '));
  switch (exit.kind) {
    case 'exited': {
      const valid = spec.validExitCodes.length > 0 ? spec.validExitCodes : [0];
      if (valid.includes(exit.code)) return;
      const signal = signalOf(exit.code);
      const oom = exit.oom ? ', out of memory' : '';
      const detail: ErrorDetail = {
        kind: 'exit',
        code: exit.code,
        ...(signal ? { signal } : {}),
        ...(exit.oom ? { oom: true } : {}),
      };
      throw new KilnError(
        'unknown',
        `process ${command} did not complete successfully: exit code: ${exit.code}${signal ? ` (${signal}${oom})` : ''}`,
        { details: [detail], hint: exit.oom ? 'give the step or the machine more memory' : undefined },
      );
    }
    case 'not-started': {
      const program = spec.args[0]!;
      if (findInContainer(program, spec, bundle) === undefined) {
        throw new KilnError(
          'not_found',
          `process ${command} did not complete successfully: ${program} not found in the image`,
          {
            cause: new Error(exit.reason),
            details: [{ kind: 'exit', code: 127 }],
            hint: program.includes('/')
              ? 'check the path; it is looked up in the file system of this step'
              : 'install it in an earlier step, or check PATH',
          },
        );
      }
      throw new KilnError('failed_precondition', `process ${command} cannot start: ${exit.reason}`, {
        details: [{ kind: 'exit', code: 126 }],
      });
    }
    default:
      exit satisfies never;
  }
}

/** The signal that a shell-style exit code stands for. */
function signalOf(code: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => number + 128 === code)?.[0];
}

/** The file on the host that execvp(3) would find in the container. */
function findInContainer(program: string, spec: ProcessSpec, bundle: ContainerBundle): string | undefined {
  const search = spec.env.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length);
  const dirs = program.includes('/') ? [spec.cwd] : (search ?? '/usr/bin:/bin').split(':');
  return dirs
    .map((dir) => bundle.locate(path.posix.resolve('/', dir, program)))
    .find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
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
