import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import { toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { utimens } from '../linux/utimens.ts';
import { clearOpaque } from '../tree/overlay-marks.ts';
import { DirectorySnapshotter } from './directory-snapshotter.ts';
import { FlattenedLayers } from './flattened-layers.ts';
import { ImageLayers } from './image-layers.ts';
import { joinLayers, layersAbove, uncoveredLayers } from './layer-list.ts';
import type { LayerPlace, SnapshotChanges, SnapshotId, SnapshotMount, Snapshotter } from './snapshot.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';
import type { AdaptLayerInput } from './tasks/adapt-layer.task.ts';
import type { WriteChangesInput } from './tasks/write-changes.task.ts';

/**
 * A snapshotter on the kernel's overlayfs. Each snapshot has one layer directory, a merge only names its parents'.
 *
 *   <root>/s/<id>/fs      the layer, in overlayfs form
 *   <root>/s/<id>/image   the layer instead, as an image that is mounted there (see `image-layers`)
 *   <root>/s/<id>/work    overlayfs's scratch directory, while active and once it was mounted
 *   <root>/s/<id>/<n>     a layer of a merge that had to be adapted (see `adapt-layer`)
 *   <root>/f/<n>          flattened layers (see `flattened-layers`)
 *   <root>/t              trash
 *
 * A layer's name is its path below `s`.
 */
export function openOverlaySnapshotter(options: SnapshotterOptions): Snapshotter {
  return new OverlaySnapshotter(options);
}

class OverlaySnapshotter extends DirectorySnapshotter implements Snapshotter {
  readonly name = 'overlay';
  readonly #emptyDir: string;
  readonly #flats: FlattenedLayers;
  readonly #images: ImageLayers;
  #makesImages: boolean;
  /** Whether a committed layer holds whiteouts or opaque directories, as far as somebody wanted to know. */
  readonly #marks = new Map<string, boolean>();

  constructor(options: SnapshotterOptions) {
    super('overlay', options);
    this.#images = new ImageLayers(this.dir);
    this.#makesImages = options.makesImages === true;
    this.#emptyDir = path.join(options.root, 'empty');
    mkdirSync(this.#emptyDir, { recursive: true, mode: 0o755 });
    this.#flats = new FlattenedLayers(path.join(options.root, 'f'), this.pool, this.trash);
    this.recover(({ id, layers, view }, isThere) => {
      const hasLayer = (layer: string) => isThere(ownerOf(layer));
      if (layers) return layers.every(hasLayer) && (view?.every(hasLayer) ?? true);
      return isThere(id) && this.#images.isWhole(id);
    });
  }

  async stage(id: SnapshotId, onTop: boolean): Promise<LayerPlace> {
    if (this.index.get(id) || this.staged.has(id)) {
      throw new KilnError('already_exists', `snapshot ${id} exists already`);
    }
    this.staged.add(id);
    mkdirSync(this.layerDirOf(id), { recursive: true });
    return { dir: this.layerDirOf(id), form: formOf(onTop) };
  }

  async prepare(id: SnapshotId, parent?: SnapshotId, alongside?: () => void): Promise<void> {
    const parents = parent === undefined ? [] : [parent];
    await this.create(
      id,
      parents,
      () => {
        const fs = this.layerDirOf(id);
        mkdirSync(fs, { recursive: true });
        const top = parent === undefined ? undefined : this.#view(parent).at(-1);
        if (top === undefined) chmodSync(fs, 0o755);
        else copyRootMetadata(this.#layerPath(top), fs);
        return { id, state: 'active', parents };
      },
      alongside,
    );
    this.staged.delete(id);
  }

  async commit(id: SnapshotId, alongside?: () => void): Promise<void> {
    const work = path.join(this.ownDir(id), 'work');
    const isOverNothing = this.index.require(id).parents.length === 0;
    if (isOverNothing && existsSync(work)) clearRootDirectories(path.join(this.ownDir(id), 'fs'));
    this.index.commit(id, alongside);
    this.#images.settle(id);
    rmSync(work, { recursive: true, force: true });
  }

  async merge(id: SnapshotId, parents: readonly SnapshotId[]): Promise<void> {
    await this.create(id, parents, async () => {
      const [first, ...others] = parents;
      const layers = joinLayers(parents.map((parent) => this.layers(parent)));
      const above = joinLayers(others.map((parent) => this.layers(parent)));
      const view = await this.#viewOf(id, first === undefined ? [] : this.#view(first), above);
      return { id, state: 'committed', parents, layers, view };
    });
  }

  async diff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<void> {
    const parents = lower === undefined ? [upper] : [lower, upper];
    await this.create(id, parents, async () => {
      const below = lower === undefined ? [] : this.layers(lower);
      const layers = layersAbove(below, this.layers(upper)) ?? [await this.#makeDiff(id, lower, upper)];
      return { id, state: 'committed', parents, layers, view: await this.#viewOf(id, [], layers) };
    });
  }

  async mount(id: SnapshotId, options: { readonly readonly?: boolean } = {}): Promise<SnapshotMount> {
    const record = this.index.require(id);
    const isWritten = record.state === 'active' && !options.readonly;
    const image = this.#images.fileOf(id);
    if (isWritten && existsSync(image)) {
      throw new KilnError('failed_precondition', `snapshot ${id} was written as an image`);
    }
    const dirs = this.#view(id).map((layer) => this.#layerPath(layer));
    if (isWritten) {
      const upperDir = dirs.pop()!;
      // Over nothing, too: in a directory that is merely bound, anybody could make what is a mark once it is part of an overlay.
      const lowers = dirs.length === 0 ? [this.#emptyDir] : await this.#flats.shorten(id, dirs);
      const workDir = path.join(this.ownDir(id), 'work');
      const place = { kind: 'overlay', lowerDirs: lowers.toReversed(), upperDir, workDir } as const;
      return (await this.#canMakeImages()) ? { ...place, image } : place;
    }
    const lowers = await this.#flats.shorten(id, dirs);
    if (lowers.length > 1) return { kind: 'overlay', lowerDirs: lowers.toReversed() };
    return { kind: 'bind', source: lowers[0] ?? this.#emptyDir, readonly: true };
  }

  async layerDirs(id: SnapshotId): Promise<readonly string[]> {
    return this.#view(id).map((layer) => this.#layerPath(layer));
  }

  async changes(id: SnapshotId, base?: SnapshotId): Promise<readonly SnapshotChanges[]> {
    const above = this.layersAbove(id, base);
    const dirs = this.layers(id).map((layer) => this.#layerPath(layer));
    return above.map((_, index) => {
      const position = dirs.length - above.length + index;
      return {
        kind: 'overlay' as const,
        dir: dirs[position]!,
        lowerDirs: dirs.slice(0, position).reverse(),
      };
    });
  }

  async writableLayerDir(id: SnapshotId): Promise<LayerPlace> {
    const { parents } = this.requireActive(id);
    return { dir: this.layerDirOf(id), form: formOf(parents.length > 0) };
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#images[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }

  overhead(id: SnapshotId): number {
    return this.#flats.sizeFor(id);
  }

  protected layerDirOf(id: SnapshotId): string {
    return path.join(this.ownDir(id), 'fs');
  }

  protected layerName(_parent: SnapshotId | undefined, id: SnapshotId): string {
    return ownLayer(id);
  }

  protected override forget(id: SnapshotId): void {
    this.#flats.release(id);
    this.#images.forget(id);
    this.#marks.delete(ownLayer(id));
  }

  async #canMakeImages(): Promise<boolean> {
    if (!this.#makesImages) return false;
    const { canMountImages } = await import('../erofs/probe-image-mounts.ts');
    this.#makesImages = canMountImages();
    return this.#makesImages;
  }

  #layerPath(layer: string): string {
    const owner = ownerOf(layer);
    if (layer === ownLayer(owner)) this.#images.show(owner);
    return path.join(this.dir, layer);
  }

  #topFirst(layers: readonly string[]): string[] {
    return layers.map((layer) => this.#layerPath(layer)).reverse();
  }

  #view(id: SnapshotId): string[] {
    return this.chain(id, (record) => record.view ?? record.layers);
  }

  /** What to mount for `layers` above `below`: these layers, but adapted where they lie on another tree than they were made on. */
  async #viewOf(id: SnapshotId, below: readonly string[], layers: readonly string[]): Promise<string[]> {
    const unknown = layers.filter((layer) => !this.#marks.has(layer));
    if (unknown.length > 0) {
      const found = await this.pool.run<readonly string[], boolean[]>(
        new URL('./tasks/find-marks.task.ts', import.meta.url),
        unknown.map((layer) => this.#layerPath(layer)),
      );
      for (const [index, layer] of unknown.entries()) this.#marks.set(layer, found[index]!);
    }
    const view = [...below];
    for (const [index, layer] of layers.entries()) {
      const owner = ownerOf(layer);
      // A diff's own layer, which is being made, lies on nothing that it could hide.
      const [madeOn] = owner === id ? [] : this.index.require(owner).parents;
      const mayDiffer = madeOn !== undefined || this.#marks.get(layer);
      const adapted = mayDiffer && (await this.#adapt(id, index, layer, { madeOn, below: view }));
      view.push(adapted ? `${id}/${index}` : layer);
    }
    // Overlayfs takes no directory twice.
    return uncoveredLayers(view);
  }

  async #adapt(
    id: SnapshotId,
    index: number,
    layer: string,
    { madeOn, below }: { readonly madeOn: SnapshotId | undefined; readonly below: readonly string[] },
  ): Promise<boolean> {
    mkdirSync(this.ownDir(id), { recursive: true, mode: 0o700 });
    return this.pool.run<AdaptLayerInput, boolean>(new URL('./tasks/adapt-layer.task.ts', import.meta.url), {
      layer: this.#layerPath(layer),
      madeOn: madeOn === undefined ? [] : this.#topFirst(this.#view(madeOn)),
      lowers: this.#topFirst(below),
      target: path.join(this.ownDir(id), `${index}`),
    });
  }

  async #makeDiff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<string> {
    const target = path.join(this.ownDir(id), 'fs');
    mkdirSync(target, { recursive: true });
    const above = this.#topFirst(this.#view(upper));
    await this.pool.run<WriteChangesInput, void>(new URL('./tasks/write-changes.task.ts', import.meta.url), [
      {
        lower: lower === undefined ? [] : this.#topFirst(this.#view(lower)),
        upper: above.length > 0 ? above : [this.#emptyDir],
        target,
        deletions: 'whiteout',
      },
    ]);
    return ownLayer(id);
  }
}

/** With nothing below there is nothing to hide: overlayfs would list the marks as names that cannot be opened. */
function formOf(onTop: boolean): LayerPlace['form'] {
  return onTop ? 'overlay' : 'tree';
}

function ownLayer(id: SnapshotId): string {
  return `${id}/fs`;
}

/** The snapshot that a layer was made as. */
function ownerOf(layer: string): SnapshotId {
  return path.dirname(layer) as SnapshotId;
}

/**
 * The kernel marks a directory that is moved into the root of an overlay as opaque (and older ones each that is made there), which over
 * nothing says nothing, and would have to be undone in a copy of the layer wherever it is laid over a tree with the same directory.
 */
function clearRootDirectories(layer: string): void {
  for (const entry of readdirSync(layer, { withFileTypes: true, encoding: 'latin1' })) {
    if (entry.isDirectory()) clearOpaque(toSystemPath(`${toByteString(layer)}/${entry.name}`));
  }
}

/** A layer's root shows as the root of the whole tree, so it starts as the one below it was; what was put into it has changed its times already. */
function copyRootMetadata(from: string, to: string): void {
  const stats = lstatSync(from, { bigint: true });
  chownSync(to, Number(stats.uid), Number(stats.gid));
  chmodSync(to, Number(stats.mode & 0o7777n));
  if (readdirSync(to).length === 0) utimens(to, stats.atimeNs, stats.mtimeNs);
}
