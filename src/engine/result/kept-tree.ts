import { randomUUID } from 'node:crypto';
import type { FileStat, SolvedRef } from '../../frontend/frontend.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { type FileRange, readTreeDir, readTreeFile, statTree, type TreeView } from './read-tree.ts';

/** A tree that is no result, such as that of a failed step. It owns the handle. */
export class KeptTree implements SolvedRef, AsyncDisposable {
  readonly id = randomUUID();
  readonly tree: ImmutableRef;

  constructor(tree: ImmutableRef) {
    this.tree = tree;
  }

  async evaluate(): Promise<void> {}

  readFile(path: string, range?: FileRange, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#view(signal, (view) => readTreeFile(view, path, range, signal));
  }

  readDir(path: string, includePattern?: string, signal?: AbortSignal): Promise<readonly FileStat[]> {
    return this.#view(signal, (view) => readTreeDir(view, path, includePattern));
  }

  statFile(path: string, signal?: AbortSignal): Promise<FileStat> {
    return this.#view(signal, (view) => statTree(view, path));
  }

  async #view<T>(signal: AbortSignal | undefined, read: (view: TreeView) => Promise<T>): Promise<T> {
    await using view = await this.tree.mountPartly({ signal });
    return await read(view);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tree.release();
  }
}
