import { KilnError } from '../../base/errors.ts';
import {
  FailedAction,
  type FileTree,
  type PreparedAction,
  type UnmountedLayer,
} from '../../file-op/file-op.ts';
import { noIndex } from '../../llb/op.ts';
import type { ImmutableRef, MountedView, MutableRef } from '../../ref/ref.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import type { OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { OperationServices } from './operation-services.ts';

/** A tree being written: not mounted, so actions go to the layer's own directory. */
interface Writing {
  readonly mutable: MutableRef;
  readonly layer: UnmountedLayer;
  readonly queued: QueuedAction[];
}

interface QueuedAction {
  /** The tree that it makes. */
  readonly tree: number;
  readonly action: PreparedAction;
}

/**
 * The trees of one file op, numbered as its actions number them: inputs first, then the results of the actions. An
 * action writes into its base's tree in place when nobody else looks at it; actions on one tree run in one go.
 */
export class FileTrees implements AsyncDisposable {
  readonly #services: OperationServices;
  readonly #description: string;
  readonly #context: OperationContext<JobContext>;
  readonly #inputs: readonly ImmutableRef[];
  readonly #writing = new Map<number, Writing>();
  readonly #finished = new Map<number, ImmutableRef>();
  readonly #views = new Map<number, MountedView>();
  #failed: number | undefined;

  constructor(
    services: OperationServices,
    inputs: readonly ImmutableRef[],
    description: string,
    context: OperationContext<JobContext>,
  ) {
    this.#services = services;
    this.#inputs = inputs;
    this.#description = description;
    this.#context = context;
  }

  /** The root of tree `result`, which starts as tree `base`; `inPlace` when `base` itself is not needed afterwards. */
  async writable(base: number, result: number, inPlace: boolean): Promise<string> {
    const open = this.#writing.get(base);
    if (open && inPlace) {
      this.#writing.delete(base);
      this.#writing.set(result, open);
      return open.layer.dir;
    }
    const parent = base === noIndex ? undefined : await this.#ref(base);
    const mutable = await this.#services.refStore.createMutable(
      parent,
      { description: this.#description },
      this.#context,
    );
    try {
      const layer = layerOf(await mutable.snapshotMount());
      const writing = { mutable, layer, queued: [] };
      this.#writing.set(result, writing);
      return layer.dir;
    } catch (error) {
      await mutable.release();
      throw error;
    }
  }

  async readable(tree: number): Promise<FileTree> {
    const known = this.#views.get(tree);
    if (known) return { path: known.path };
    const view = await (await this.#ref(tree)).mountPartly(this.#context);
    this.#views.set(tree, view);
    return { path: view.path };
  }

  queue(tree: number, action: PreparedAction): void {
    this.#writing.get(tree)!.queued.push({ tree, action });
  }

  /** Runs what is queued for a tree and commits it. The caller owns the handle. */
  async finish(tree: number): Promise<ImmutableRef> {
    return (await this.#ref(tree)).clone();
  }

  async #ref(tree: number): Promise<ImmutableRef> {
    if (tree < this.#inputs.length) return tree === noIndex ? this.#scratch() : this.#inputs[tree]!;
    const finished = this.#finished.get(tree);
    if (finished) return finished;
    const writing = this.#writing.get(tree)!;
    await this.#apply(writing);
    const ref = await writing.mutable.commit();
    this.#writing.delete(tree);
    this.#finished.set(tree, ref);
    return ref;
  }

  /** Mounting and unmounting takes longer than most file ops, so it is done only for an action that needs it. */
  async #apply({ mutable, layer, queued }: Writing): Promise<void> {
    const { fileOps } = this.#services;
    const { signal } = this.#context;
    const actions = queued.map(({ action }) => action);
    let applied = 0;
    try {
      applied = await fileOps.applyToLayer(actions, layer, signal);
      const rest = actions.slice(applied);
      if (rest.length === 0) return;
      await using view = await mutable.mount();
      await fileOps.apply(
        rest.map((action) => ({ ...action, target: view.path })),
        signal,
      );
    } catch (error) {
      if (error instanceof FailedAction) this.#failed = queued[applied + error.position]?.tree;
      throw error;
    }
  }

  /** The tree that the failed action was to make. */
  get failed(): number | undefined {
    return this.#failed;
  }

  /** What there is of a tree, if it has been begun; the caller owns the handle. */
  async commitFailed(tree: number): Promise<ImmutableRef | undefined> {
    const finished = this.#finished.get(tree);
    if (finished) return finished.clone();
    for (const [last, { queued, mutable }] of this.#writing) {
      if (last !== tree && !queued.some((each) => each.tree === tree)) continue;
      this.#writing.delete(last);
      return await mutable.commit('failed.step');
    }
    return undefined;
  }

  async #scratch(): Promise<ImmutableRef> {
    const known = this.#finished.get(noIndex);
    if (known) return known;
    const scratch = await this.#services.refStore.scratch();
    this.#finished.set(noIndex, scratch);
    return scratch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const view of this.#views.values()) await view[Symbol.asyncDispose]();
    for (const { mutable } of this.#writing.values()) await mutable.release();
    for (const ref of this.#finished.values()) await ref.release();
  }
}

/** Where a mutable snapshot is written without a mount. */
function layerOf(mount: SnapshotMount): UnmountedLayer {
  switch (mount.kind) {
    case 'bind':
      return { dir: mount.source, lowerDirs: [] };
    case 'overlay':
      if (mount.upperDir === undefined) break;
      return { dir: mount.upperDir, lowerDirs: mount.lowerDirs, image: mount.image };
  }
  throw new KilnError('internal', 'a mutable snapshot cannot be written to');
}
