import path from 'node:path/posix';
import { KilnError } from '../../base/errors.ts';
import type { ProcessMount } from '../../executor/executor.ts';
import { type CacheSharing, type ExecMount, noIndex } from '../../llb/op.ts';
import type { ImmutableRef, MountedView, MutableRef, RecordType } from '../../ref/ref.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import type { OperationContext } from '../../solver/solver.ts';
import { type JobContext, sessionsOf } from '../job-context.ts';
import { acquireCacheMount, cacheMountKey } from './cache-mount.ts';
import type { OperationServices } from './operation-services.ts';
import { stepSecret } from './step-secrets.ts';

/** What is mounted, and for whom. */
export interface MountsRequest {
  /** With absolute places. Their outputs count from 0. */
  readonly mounts: readonly ExecMount[];
  /** Whose mounts they are, for `du`: `exec ls -l`. */
  readonly owner: string;
  /** Mounts the trees here, too: their files can then be read while processes change them. */
  readonly views?: boolean;
}

/** What an output of the op becomes: what was written to a mount (its position), or the input of a mount that cannot be written. */
type Output =
  | { readonly kind: 'written'; readonly position: number }
  | { readonly kind: 'input'; readonly ref: ImmutableRef };

/**
 * The mounts of one process, or of one container, and what they become. Disposing it gives everything back; trees that were not committed
 * are removed.
 */
export class ExecMounts implements AsyncDisposable {
  readonly #request: MountsRequest;
  readonly #services: OperationServices;
  readonly #context: OperationContext<JobContext>;
  readonly #outputs = new Map<number, Output>();
  /** Trees that can be written to, by the positions of their mounts. */
  readonly #written = new Map<number, MutableRef>();
  readonly #held: AsyncDisposable[] = [];
  readonly #others: ProcessMount[] = [];
  /** Directories of the cache mounts so far. */
  readonly #caches = new Map<string, MountedView>();
  /** Where trees are mounted here, by the positions of their mounts. */
  readonly #views = new Map<number, MountedView>();
  #rootfs: SnapshotMount | undefined;
  readonlyRoot = false;

  private constructor(
    request: MountsRequest,
    services: OperationServices,
    context: OperationContext<JobContext>,
  ) {
    this.#request = request;
    this.#services = services;
    this.#context = context;
  }

  static async prepare(
    request: MountsRequest,
    inputs: readonly ImmutableRef[],
    services: OperationServices,
    context: OperationContext<JobContext>,
  ): Promise<ExecMounts> {
    const prepared = new ExecMounts(request, services, context);
    try {
      // Parents first, so that a mount below another one lands in it.
      const ordered = [...request.mounts.entries()].sort(([, a], [, b]) => depth(a.dest) - depth(b.dest));
      for (const [position, mount] of ordered) {
        await prepared.#add(position, mount, mount.input === noIndex ? undefined : inputs[mount.input]);
      }
      return prepared;
    } catch (error) {
      await prepared[Symbol.asyncDispose]();
      throw error;
    }
  }

  get rootfs(): SnapshotMount {
    if (!this.#rootfs) throw new KilnError('invalid_argument', 'an exec needs a mount at /');
    return this.#rootfs;
  }

  get others(): readonly ProcessMount[] {
    return this.#others;
  }

  /** Where the tree of the mount at a position is mounted here; undefined for a mount without one. Only with `views`. */
  viewOf(position: number): MountedView | undefined {
    return this.#views.get(position);
  }

  /** The outputs by index; the caller owns them. Called once, after the process has succeeded. */
  async commit(): Promise<readonly ImmutableRef[]> {
    const results: ImmutableRef[] = [];
    for (const [index, output] of this.#outputs) {
      results[index] =
        output.kind === 'written' ? await this.#commitWritten(output.position) : output.ref.clone();
      this.#outputs.delete(index);
    }
    return results;
  }

  /** What the mounts hold after the process has failed, by their positions; undefined for those without a tree. The caller owns them. */
  async commitFailed(inputs: readonly ImmutableRef[]): Promise<readonly (ImmutableRef | undefined)[]> {
    this.#outputs.clear();
    const trees: (ImmutableRef | undefined)[] = [];
    for (const [position, { input }] of this.#request.mounts.entries()) {
      const isWritten = this.#written.has(position);
      trees.push(isWritten ? await this.#commitWritten(position, 'failed.step') : inputs[input]?.clone());
    }
    return trees;
  }

  async #commitWritten(position: number, type?: RecordType): Promise<ImmutableRef> {
    const ref = await this.#written.get(position)!.commit(type);
    this.#written.delete(position);
    return ref;
  }

  async #add(position: number, mount: ExecMount, input: ImmutableRef | undefined): Promise<void> {
    const { type } = mount;
    switch (type.kind) {
      case 'bind': {
        const snapshotMount = await this.#bind(position, mount, input);
        if (mount.dest === '/') {
          this.#rootfs = snapshotMount;
          this.readonlyRoot = mount.readonly;
        } else this.#tree(mount, snapshotMount, mount.readonly);
        return;
      }
      case 'cache': {
        const view = await this.#cache(cacheMountKey(type, mount), type.sharing, mount, input);
        this.#views.set(position, view);
        const { path: source, partlyHere } = view;
        this.#tree(mount, { kind: 'bind', source, readonly: false, partlyHere }, mount.readonly);
        if (mount.output !== noIndex && input) this.#outputs.set(mount.output, { kind: 'input', ref: input });
        return;
      }
      case 'tmpfs':
        this.#others.push({ kind: 'tmpfs', dest: mount.dest, size: type.size });
        return;
      case 'secret': {
        const data = await stepSecret(type, this.#services.credentials, this.#context);
        if (data === undefined) return;
        const { uid, gid, mode } = type;
        this.#others.push({ kind: 'file', dest: mount.dest, data, uid, gid, mode });
        return;
      }
      case 'ssh': {
        const agent = await this.#services.credentials.sshAgent(
          sessionsOf(this.#context),
          type,
          this.#context.signal,
        );
        if (!agent) return;
        this.#held.push(agent);
        this.#others.push({ kind: 'host', dest: mount.dest, source: agent.path, readonly: false });
        return;
      }
    }
  }

  /**
   * The directory of a cache mount. A process that mounts a cache twice sees the same files in both places; others
   * that share it see them through the same mount, as an overlay must not be mounted twice for writing.
   */
  async #cache(
    key: string,
    sharing: CacheSharing,
    mount: ExecMount,
    base: ImmutableRef | undefined,
  ): Promise<MountedView> {
    const name = `${key} ${base?.id ?? ''}`;
    const own = this.#caches.get(name);
    if (own !== undefined) return own;
    const cache = await acquireCacheMount(
      { key, sharing, owner: this.#request.owner },
      mount,
      base,
      this.#services.cacheDirectories,
      this.#context,
    );
    this.#held.push({ [Symbol.asyncDispose]: () => cache.release() });
    const view = await cache.mount();
    this.#held.push(view);
    this.#caches.set(name, view);
    return view;
  }

  async #bind(position: number, mount: ExecMount, input: ImmutableRef | undefined): Promise<SnapshotMount> {
    const { owner, views } = this.#request;
    if (mount.readonly) {
      const ref = input?.clone() ?? (await this.#services.refStore.scratch());
      this.#held.push({ [Symbol.asyncDispose]: () => ref.release() });
      if (mount.output !== noIndex) this.#outputs.set(mount.output, { kind: 'input', ref });
      return views
        ? this.#view(position, await ref.mountPartly(this.#context), true)
        : await ref.snapshotMount(this.#context);
    }
    const mutable = await this.#services.refStore.createMutable(
      input,
      {
        description:
          mount.output === noIndex ? `scratch space of ${owner}` : `mount ${mount.dest} from ${owner}`,
      },
      this.#context,
    );
    this.#written.set(position, mutable);
    if (mount.output !== noIndex) this.#outputs.set(mount.output, { kind: 'written', position });
    return views ? this.#view(position, await mutable.mount(), false) : await mutable.snapshotMount();
  }

  #view(position: number, view: MountedView, readonly: boolean): SnapshotMount {
    this.#held.push(view);
    this.#views.set(position, view);
    const { path: source, partlyHere } = view;
    return { kind: 'bind', source, readonly, partlyHere };
  }

  #tree(mount: ExecMount, snapshotMount: SnapshotMount, readonly: boolean): void {
    this.#others.push({
      kind: 'tree',
      dest: mount.dest,
      mount: snapshotMount,
      selector: mount.selector,
      readonly,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outputs.clear();
    for (const held of this.#held.splice(0).reverse()) await held[Symbol.asyncDispose]();
    for (const mutable of this.#written.values()) await mutable.release();
    this.#written.clear();
  }
}

function depth(dest: string): number {
  const clean = path.join('/', dest);
  return clean === '/' ? 0 : clean.split('/').length;
}
