import { chmodSync, mkdirSync } from 'node:fs';
import { DirectorySnapshotter } from './directory-snapshotter.ts';
import { joinLayers, layersAbove } from './layer-list.ts';
import {
  type SnapshotChanges,
  type SnapshotId,
  type SnapshotMount,
  type Snapshotter,
  snapshotId,
} from './snapshot.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';
import type { MaterializeInput } from './tasks/materialize.task.ts';
import type { WriteChangesInput } from './tasks/write-changes.task.ts';
import type { ChangesToWrite } from './tasks/write-changes.ts';

/**
 * A snapshotter for file systems that overlayfs does not work on: every snapshot is a whole tree, copied from its
 * parent's (by sharing blocks, where the file system can).
 *
 *   <root>/s/<id>    the tree
 *   <root>/t         trash
 *
 * A layer is the step from one tree to another, named `<lower>:<upper>` by their ids; the first one has no lower.
 */
export function openNativeSnapshotter(options: SnapshotterOptions): Snapshotter {
  return new NativeSnapshotter(options);
}

class NativeSnapshotter extends DirectorySnapshotter implements Snapshotter {
  readonly name = 'native';

  constructor(options: SnapshotterOptions) {
    super('native', options);
    this.recover(({ id }, isThere) => isThere(id));
  }

  async stage(): Promise<undefined> {
    return undefined;
  }

  async prepare(id: SnapshotId, parent?: SnapshotId, alongside?: () => void): Promise<void> {
    const parents = parent === undefined ? [] : [parent];
    const make = async () => {
      await this.#makeTree(id, parent);
      return { id, state: 'active', parents } as const;
    };
    await this.create(id, parents, make, alongside);
  }

  async commit(id: SnapshotId, alongside?: () => void): Promise<void> {
    this.index.commit(id, alongside);
  }

  async merge(id: SnapshotId, parents: readonly SnapshotId[]): Promise<void> {
    await this.create(id, parents, async () => {
      const [first, ...others] = parents;
      await this.#makeTree(id, first);
      await this.#applyLayers(id, joinLayers(others.map((parent) => this.layers(parent))));
      const layers = joinLayers(parents.map((parent) => this.layers(parent)));
      return { id, state: 'committed', parents, layers };
    });
  }

  async diff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<void> {
    const parents = lower === undefined ? [upper] : [lower, upper];
    await this.create(id, parents, async () => {
      const below = lower === undefined ? [] : this.layers(lower);
      const layers = layersAbove(below, this.layers(upper)) ?? [this.layerName(lower, upper)];
      await this.#makeTree(id, undefined);
      await this.#applyLayers(id, layers);
      return { id, state: 'committed', parents, layers };
    });
  }

  async mount(id: SnapshotId, options: { readonly readonly?: boolean } = {}): Promise<SnapshotMount> {
    const { state } = this.index.require(id);
    return {
      kind: 'bind',
      source: this.ownDir(id),
      readonly: state === 'committed' || options.readonly === true,
    };
  }

  async layerDirs(id: SnapshotId): Promise<readonly string[]> {
    this.index.require(id);
    return [this.ownDir(id)];
  }

  async changes(id: SnapshotId, base?: SnapshotId): Promise<readonly SnapshotChanges[]> {
    return this.layersAbove(id, base).map((layer) => ({ kind: 'trees', ...this.#treesOf(layer) }));
  }

  async writableLayerDir(id: SnapshotId): Promise<{ readonly dir: string; readonly form: 'tree' }> {
    this.requireActive(id);
    return { dir: this.ownDir(id), form: 'tree' };
  }

  /** Nothing. */
  overhead(): number {
    return 0;
  }

  protected layerDirOf(id: SnapshotId): string {
    return this.ownDir(id);
  }

  protected layerName(parent: SnapshotId | undefined, id: SnapshotId): string {
    return `${parent ?? ''}:${id}`;
  }

  #treesOf(layer: string): { readonly lower?: string; readonly upper: string } {
    const [lower, upper] = layer.split(':');
    return {
      ...(lower === '' ? {} : { lower: this.ownDir(snapshotId(lower!)) }),
      upper: this.ownDir(snapshotId(upper!)),
    };
  }

  async #makeTree(id: SnapshotId, from: SnapshotId | undefined): Promise<void> {
    const target = this.ownDir(id);
    if (from === undefined) {
      mkdirSync(target);
      chmodSync(target, 0o755);
    } else {
      await this.pool.run<MaterializeInput, void>(new URL('./tasks/materialize.task.ts', import.meta.url), {
        dirs: [this.ownDir(from)],
        target,
      });
    }
  }

  async #applyLayers(id: SnapshotId, layers: readonly string[]): Promise<void> {
    const steps = layers.map((layer): ChangesToWrite => {
      const { lower, upper } = this.#treesOf(layer);
      return {
        lower: lower === undefined ? [] : [lower],
        upper: [upper],
        target: this.ownDir(id),
        deletions: 'apply',
      };
    });
    await this.pool.run<WriteChangesInput, void>(
      new URL('./tasks/write-changes.task.ts', import.meta.url),
      steps,
    );
  }
}
