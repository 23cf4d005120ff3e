import path from 'node:path/posix';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ProcessMount } from '../../executor/executor.ts';
import { type CacheSharing, type ExecMount, type ExecOp, noIndex } from '../../llb/op.ts';
import type { ImmutableRef, MutableRef } from '../../ref/ref.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import type { OperationContext } from '../../solver/solver.ts';
import { type JobContext, sessionsOf } from '../job-context.ts';
import { absoluteMounts } from './absolute-mounts.ts';
import { acquireCacheMount, cacheMountKey } from './cache-mount.ts';
import type { OperationServices } from './operation-services.ts';

/** What an output of the op becomes: what was written to a mount, or the input of a mount that cannot be written. */
type Output =
  | { readonly kind: 'written'; readonly mutable: MutableRef }
  | { readonly kind: 'input'; readonly ref: ImmutableRef };

/**
 * The mounts of one process and what they become. Disposing it gives everything back; trees that were not committed
 * are removed.
 */
export class ExecMounts implements AsyncDisposable {
  readonly #services: OperationServices;
  readonly #context: OperationContext<JobContext>;
  readonly #outputs = new Map<number, Output>();
  readonly #held: AsyncDisposable[] = [];
  readonly #others: ProcessMount[] = [];
  /** Directories of the cache mounts so far. */
  readonly #caches = new Map<string, string>();
  #rootfs: SnapshotMount | undefined;
  readonlyRoot = false;

  constructor(services: OperationServices, context: OperationContext<JobContext>) {
    this.#services = services;
    this.#context = context;
  }

  static async prepare(
    op: ExecOp,
    inputs: readonly ImmutableRef[],
    services: OperationServices,
    context: OperationContext<JobContext>,
  ): Promise<ExecMounts> {
    const prepared = new ExecMounts(services, context);
    const command = op.meta.args.join(' ');
    const mounts = absoluteMounts(op);
    try {
      // Parents first, so that a mount below another one lands in it.
      for (const mount of mounts.toSorted((a, b) => depth(a.dest) - depth(b.dest))) {
        await prepared.#add(mount, mount.input === noIndex ? undefined : inputs[mount.input], command);
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

  /** A secret of any client that wants this step; undefined when it is optional and nobody has it. */
  async secret(id: string, optional: boolean): Promise<Uint8Array | undefined> {
    try {
      using _ = this.#context.waitsFor(`secret ${id} from a client`);
      return await this.#services.credentials.secret(sessionsOf(this.#context), id, this.#context.signal);
    } catch (cause) {
      const error = asKilnError(cause);
      if (error.code !== 'not_found' && error.code !== 'unavailable' && error.code !== 'unimplemented')
        throw error;
      if (optional) return undefined;
      throw new KilnError('not_found', `secret ${id}: not found`, {
        cause,
        hint: `pass it with --secret id=${id},src=FILE`,
      });
    }
  }

  /** The outputs by index; the caller owns them. Called once, after the process has succeeded. */
  async commit(): Promise<readonly ImmutableRef[]> {
    const results: ImmutableRef[] = [];
    for (const [index, output] of this.#outputs) {
      results[index] = output.kind === 'written' ? await output.mutable.commit() : output.ref.clone();
      this.#outputs.delete(index);
    }
    return results;
  }

  async #add(mount: ExecMount, input: ImmutableRef | undefined, command: string): Promise<void> {
    const { type } = mount;
    switch (type.kind) {
      case 'bind': {
        const snapshotMount = await this.#bind(mount, input, command);
        if (mount.dest === '/') {
          this.#rootfs = snapshotMount;
          this.readonlyRoot = mount.readonly;
        } else this.#tree(mount, snapshotMount, mount.readonly);
        return;
      }
      case 'cache': {
        const source = await this.#cache(cacheMountKey(type, mount), type.sharing, mount, input, command);
        this.#tree(mount, { kind: 'bind', source, readonly: false }, mount.readonly);
        if (mount.output !== noIndex && input) this.#outputs.set(mount.output, { kind: 'input', ref: input });
        return;
      }
      case 'tmpfs':
        this.#others.push({ kind: 'tmpfs', dest: mount.dest, size: type.size });
        return;
      case 'secret': {
        const data = await this.secret(type.id, type.optional);
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
    command: string,
  ): Promise<string> {
    const name = `${key} ${base?.id ?? ''}`;
    const own = this.#caches.get(name);
    if (own !== undefined) return own;
    const cache = await acquireCacheMount(
      { key, sharing, command },
      mount,
      base,
      this.#services.cacheDirectories,
      this.#context,
    );
    this.#held.push({ [Symbol.asyncDispose]: () => cache.release() });
    const view = await cache.mount();
    this.#held.push(view);
    this.#caches.set(name, view.path);
    return view.path;
  }

  async #bind(mount: ExecMount, input: ImmutableRef | undefined, command: string): Promise<SnapshotMount> {
    if (mount.readonly) {
      const ref = input?.clone() ?? (await this.#services.refStore.scratch());
      this.#held.push({ [Symbol.asyncDispose]: () => ref.release() });
      if (mount.output !== noIndex) this.#outputs.set(mount.output, { kind: 'input', ref });
      return await ref.snapshotMount(this.#context);
    }
    const mutable = await this.#services.refStore.createMutable(
      input,
      {
        description:
          mount.output === noIndex
            ? `scratch space of ${command}`
            : `mount ${mount.dest} from exec ${command}`,
      },
      this.#context,
    );
    if (mount.output === noIndex) this.#held.push({ [Symbol.asyncDispose]: () => mutable.release() });
    else this.#outputs.set(mount.output, { kind: 'written', mutable });
    return mutable.snapshotMount();
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
    for (const output of this.#outputs.values()) {
      if (output.kind === 'written') await output.mutable.release();
    }
    this.#outputs.clear();
    for (const held of this.#held.splice(0).reverse()) await held[Symbol.asyncDispose]();
  }
}

function depth(dest: string): number {
  const clean = path.join('/', dest);
  return clean === '/' ? 0 : clean.split('/').length;
}
