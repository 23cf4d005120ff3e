import { randomUUID } from 'node:crypto';
import type { FileStat, SolvedRef } from '../../frontend/frontend.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { type FileRange, readTreeDir, readTreeFile, statTree } from './read-tree.ts';

/** A tree that is no result, such as that of a failed step. It owns the handle. */
export class KeptTree implements SolvedRef, AsyncDisposable {
  readonly id = randomUUID();
  readonly tree: ImmutableRef;

  constructor(tree: ImmutableRef) {
    this.tree = tree;
  }

  async evaluate(): Promise<void> {}

  readFile(path: string, range?: FileRange, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#view(signal, (root) => readTreeFile(root, path, range));
  }

  readDir(path: string, includePattern?: string, signal?: AbortSignal): Promise<readonly FileStat[]> {
    return this.#view(signal, (root) => readTreeDir(root, path, includePattern));
  }

  statFile(path: string, signal?: AbortSignal): Promise<FileStat> {
    return this.#view(signal, (root) => statTree(root, path));
  }

  async #view<T>(signal: AbortSignal | undefined, read: (root: string) => Promise<T>): Promise<T> {
    await using view = await this.tree.mount({ signal });
    return await read(view.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tree.release();
  }
}
