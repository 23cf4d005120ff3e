import { randomBytes } from 'node:crypto';
import path from 'node:path/posix';
import { abortable, abortError, throwIfAborted } from '../../base/async/lifetime.ts';
import { defaultPath } from '../../base/default-path.ts';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { silentProgress } from '../../base/progress.ts';
import type { ProcessIo } from '../../executor/executor.ts';
import type { FileStat } from '../../frontend/frontend.ts';
import { type ExecMount, noIndex } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { OperationContext } from '../../solver/solver.ts';
import { type Entitlement, type Entitlements, requireEntitlement } from '../entitlements/entitlements.ts';
import type { JobContext } from '../job-context.ts';
import { ExecMounts } from '../operations/exec-mounts.ts';
import type { OperationServices } from '../operations/operation-services.ts';
import { secretVariables } from '../operations/step-secrets.ts';
import {
  type FileRange,
  readTreeDir,
  readTreeFile,
  statTreeTarget,
  type TreeView,
} from '../result/read-tree.ts';
import { treeOf } from '../result/tree-of.ts';
import type { ContainerProcess, ContainerRequest } from './container-request.ts';

/** What a container takes of its build. */
export interface ContainerScope {
  readonly services: OperationServices;
  readonly job: JobContext;
  readonly entitlements: Entitlements;
  /** Ends the container's processes. */
  readonly signal: AbortSignal;
}

/** As the terminal of a client that tells no size. */
const terminalType = 'xterm';

/**
 * A container in which a client of a build runs processes: copies of results, and whatever else it mounts. It begins with its first process, and
 * ends with that one. What processes write goes with the container, except for what is in caches.
 */
export class BuildContainer implements AsyncDisposable {
  readonly #id = randomBytes(12).toString('hex');
  readonly #request: ContainerRequest;
  readonly #scope: ContainerScope;
  readonly #mounts: ExecMounts;
  readonly #context: OperationContext<JobContext>;
  readonly #released: AbortController;
  readonly #processes = new Set<Promise<void>>();
  #hasBegun = false;
  /** Processes are started in the order in which they were asked for, however long their secrets take. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    request: ContainerRequest,
    scope: ContainerScope,
    mounts: ExecMounts,
    context: OperationContext<JobContext>,
    released: AbortController,
  ) {
    this.#request = request;
    this.#scope = scope;
    this.#mounts = mounts;
    this.#context = context;
    this.#released = released;
  }

  /**
   * Solves and mounts what is asked for, as long as `waiting` does not abort. Throws `invalid_argument` for what cannot be mounted, and what solving
   * fails with.
   */
  static async open(
    request: ContainerRequest,
    scope: ContainerScope,
    waiting: AbortSignal,
  ): Promise<BuildContainer> {
    const released = new AbortController();
    const giveUp = () => released.abort(abortError(waiting));
    waiting.addEventListener('abort', giveUp, { once: true });
    try {
      throwIfAborted(waiting);
      return await BuildContainer.#open(request, scope, released);
    } finally {
      waiting.removeEventListener('abort', giveUp);
    }
  }

  static async #open(
    request: ContainerRequest,
    scope: ContainerScope,
    released: AbortController,
  ): Promise<BuildContainer> {
    throwIfAborted(scope.signal);
    const signal = AbortSignal.any([scope.signal, released.signal]);
    const context: OperationContext<JobContext> = {
      signal,
      progress: silentProgress,
      waitsFor: () => ({ [Symbol.dispose]() {} }),
      jobs: () => [scope.job],
      eachJob: (listener) => listener(scope.job),
    };
    const inputs: ImmutableRef[] = [];
    const mounts: ExecMount[] = [];
    for (const { ref, dest, ...mount } of checkedMounts(request)) {
      const input = ref ? inputs.push(await treeOf(ref, signal)) - 1 : noIndex;
      mounts.push({
        ...mount,
        dest: path.resolve('/', dest),
        input,
        output: noIndex,
        resultId: '',
        contentCache: 'default',
      });
    }
    const prepared = await ExecMounts.prepare(
      { mounts, owner: 'a container of a client', views: true },
      inputs,
      scope.services,
      context,
    );
    return new BuildContainer(request, scope, prepared, context, released);
  }

  /**
   * Runs a process: the first one, which makes the container, or another one in it. Resolves and fails as `Executor.run` and `Executor.exec` do, and with
   * `permission_denied` for what the build may not do.
   */
  async run(process: ContainerProcess, io: ProcessIo): Promise<void> {
    const signal = AbortSignal.any([io.signal, this.#context.signal]);
    throwIfAborted(signal);
    const prepared = this.#turn.then(() => abortable(this.#environment(process), signal));
    this.#turn = prepared.catch(() => {});
    const work = prepared.then((env) => this.#start(process, env, { ...io, signal }));
    this.#processes.add(work);
    try {
      await work;
    } finally {
      this.#processes.delete(work);
    }
  }

  readFile(position: number, name: string, range?: FileRange): Promise<Uint8Array> {
    return readTreeFile(this.#view(position), absolute(name), range, this.#context.signal);
  }

  readDir(position: number, name: string, includePattern?: string): Promise<readonly FileStat[]> {
    return readTreeDir(this.#view(position), absolute(name), includePattern);
  }

  /** Of what a link leads to, unless that is outside of the mount. */
  statFile(position: number, name: string): Promise<FileStat> {
    return statTreeTarget(this.#view(position), absolute(name));
  }

  /** Ends processes and gives everything back. Throws `canceled` if there were processes to end. */
  async release(): Promise<void> {
    const reason = new KilnError('canceled', 'context canceled: the container was released');
    const hadProcesses = this.#processes.size > 0;
    this.#released.abort(reason);
    await this[Symbol.asyncDispose]();
    if (hadProcesses) throw reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#released.abort(new KilnError('canceled', 'context canceled: the build has ended'));
    await Promise.allSettled(this.#processes);
    await this.#mounts[Symbol.asyncDispose]();
  }

  async #environment(process: ContainerProcess): Promise<readonly string[]> {
    const { entitlements, services } = this.#scope;
    for (const needed of neededEntitlements(this.#request, process))
      requireEntitlement(needed, entitlements.allowed);
    return await secretVariables(process.secretEnv, services.credentials, this.#context);
  }

  async #start(process: ContainerProcess, secrets: readonly string[], io: ProcessIo): Promise<void> {
    if (io.signal.aborted) throw abortError(io.signal);
    const { executor } = this.#scope.services;
    const { platform } = this.#request;
    const defaults = new Map([['PATH', defaultPath(platform ?? { os: 'linux' })]]);
    if (io.dialog?.terminal) defaults.set('TERM', terminalType);
    const env = [...withDefaults(process.env, defaults), ...secrets];
    const { args, user, security, removeMountStubsRecursive } = process;
    const cwd = process.cwd || '/';
    if (this.#hasBegun) return await executor.exec(this.#id, { args, env, cwd, user }, io);
    this.#hasBegun = true;
    await executor.run(
      {
        id: this.#id,
        rootfs: this.#mounts.rootfs,
        platform: runnablePlatform(platform),
        mounts: this.#mounts.others,
        args,
        env,
        cwd,
        user,
        hostname: this.#request.hostname,
        extraHosts: this.#request.extraHosts,
        network: this.#request.network,
        security,
        readonlyRoot: this.#mounts.readonlyRoot,
        ulimits: [],
        cgroupParent: '',
        devices: [],
        validExitCodes: [],
        removeMountStubsRecursive,
      },
      io,
    );
  }

  /** Throws `invalid_argument` for a mount that there is not, `failed_precondition` for one whose files are not the engine's. */
  #view(position: number): TreeView {
    const { mounts } = this.#request;
    throwIfAborted(this.#context.signal);
    if (!mounts[position]) {
      throw new KilnError(
        'invalid_argument',
        `mount index ${position} is out of bounds (${mounts.length} available)`,
      );
    }
    const view = this.#mounts.viewOf(position);
    if (view !== undefined) return view;
    throw new KilnError(
      'failed_precondition',
      `the files of the ${mounts[position].type.kind} mount at ${mounts[position].dest} cannot be read from outside of the container`,
    );
  }
}

function checkedMounts({ mounts }: ContainerRequest): ContainerRequest['mounts'] {
  for (const { dest, type } of mounts) {
    if (dest.includes('\0')) throw new KilnError('invalid_argument', 'a mount point has a zero byte');
    if (path.resolve('/', dest) === '/' && type.kind !== 'bind') {
      throw new KilnError('invalid_argument', `invalid mount type ${type.kind} for ${dest}`);
    }
  }
  if (mounts.some(({ dest }) => path.resolve('/', dest) === '/')) return mounts;
  throw new KilnError('invalid_argument', 'a container needs a mount at /');
}

function neededEntitlements(
  { network }: ContainerRequest,
  { security }: ContainerProcess,
): readonly Entitlement[] {
  return [
    ...(network === 'host' ? (['network.host'] as const) : []),
    ...(security === 'insecure' ? (['security.insecure'] as const) : []),
  ];
}

function withDefaults(env: readonly string[], defaults: ReadonlyMap<string, string>): readonly string[] {
  const missing = [...defaults].filter(([name]) => !env.some((entry) => entry.startsWith(`${name}=`)));
  return [...env, ...missing.map(([name, value]) => `${name}=${value}`)];
}

/** Of another system it is the variables alone that a client can want. */
function runnablePlatform(platform: Platform | undefined): Platform | undefined {
  return platform?.os === 'linux' && platform.architecture !== '' ? platform : undefined;
}

function absolute(name: string): string {
  if (path.normalize(name).startsWith('/')) return name;
  throw new KilnError('invalid_argument', `can't make ${name} relative to /`);
}
