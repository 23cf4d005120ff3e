import { existsSync } from 'node:fs';
import path from 'node:path';
import { asKilnError, KilnError } from '../base/errors.ts';
import { isWholeImage } from '../erofs/is-whole-image.ts';
import { type ImageMounts, mountImage } from '../erofs/mount-image.ts';
import { unmount } from '../linux/mount.ts';
import { unmountBelow } from '../linux/mount-table.ts';
import type { SnapshotId } from './snapshot.ts';

/**
 * Layers that are EROFS images, `<dir>/<id>/image`, each mounted at the empty directory `<dir>/<id>/fs` from when somebody asks for it: so a layer is found at one
 * place, whatever it is. The mounts end with the process; those of one that was killed are undone by the next.
 */
export class ImageLayers implements Disposable {
  readonly #dir: string;
  /** Whether a committed layer is an image, and whether it is mounted. */
  readonly #states = new Map<SnapshotId, 'directory' | 'image' | 'mounted'>();
  #by: ImageMounts = 'file';

  constructor(dir: string) {
    this.#dir = dir;
    unmountBelow(dir);
  }

  fileOf(id: SnapshotId): string {
    return path.join(this.#dir, id, 'image');
  }

  /** False for an image that was not written to its end. */
  isWhole(id: SnapshotId): boolean {
    return !existsSync(this.fileOf(id)) || isWholeImage(this.fileOf(id));
  }

  /** To be called when a layer has been committed. */
  settle(id: SnapshotId): void {
    this.#states.delete(id);
  }

  /** Mounts the image of a committed layer, if it is one. */
  show(id: SnapshotId): void {
    const state = this.#states.get(id) ?? (existsSync(this.fileOf(id)) ? 'image' : 'directory');
    if (state === 'image') this.#mount(id);
    this.#states.set(id, state === 'image' ? 'mounted' : state);
  }

  forget(id: SnapshotId): void {
    if (this.#states.get(id) === 'mounted') unmount(this.#placeOf(id));
    this.#states.delete(id);
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#states.keys()]) this.forget(id);
  }

  #mount(id: SnapshotId): void {
    try {
      mountImage(this.fileOf(id), this.#placeOf(id), { by: this.#by });
    } catch (error) {
      if (this.#by === 'loop') throw cannotMount(error);
      this.#by = 'loop';
      this.#mount(id);
    }
  }

  #placeOf(id: SnapshotId): string {
    return path.join(this.#dir, id, 'fs');
  }
}

function cannotMount(error: unknown): KilnError {
  const cause = asKilnError(error);
  return new KilnError(
    'failed_precondition',
    `a tree that is an EROFS image cannot be mounted: ${cause.message}`,
    {
      cause,
      hint: 'images were made under another kernel: prune the trees, or boot that kernel',
    },
  );
}
