import { toByteString } from '../base/text/byte-string.ts';
import type { ImmutableRef, MountedView, MutableRef, RecordOptions } from '../ref/ref.ts';
import type { RefFactory } from '../ref/ref-store.ts';
import { DirectoryTreeMaker } from '../tree/directory-tree-maker.ts';
import type { TreeMaker } from '../tree/tree-maker.ts';

/** A tree that is made only when it turns out to be needed. Disposed without a commit, it is removed. */
export class NewTree implements AsyncDisposable {
  readonly #refStore: RefFactory;
  readonly #record: RecordOptions;
  /** May still be going on: disposing of the tree waits for it. */
  #making: Promise<MutableRef> | undefined;
  #view: MountedView | undefined;

  constructor(refStore: RefFactory, record: RecordOptions) {
    this.#refStore = refStore;
    this.#record = record;
  }

  /** The empty directory to fill, for programs that write files themselves. */
  async makeDirectory(): Promise<string> {
    const ref = await this.#make();
    const dir = await ref.plainDir();
    if (dir !== undefined) return dir;
    this.#view ??= await ref.mount();
    return this.#view.path;
  }

  /** Returns a maker for the empty tree. The caller finishes it and disposes of it. */
  async makeTree(): Promise<TreeMaker> {
    return new DirectoryTreeMaker(toByteString(await this.makeDirectory()));
  }

  /** To be called once, after the tree was filled. */
  async commit(): Promise<ImmutableRef> {
    const ref = await this.#make();
    await this.#unmount();
    return await ref.commit();
  }

  /** As `commit`, for a tree that is going to be changed by what comes next. */
  async freeze(): Promise<ImmutableRef> {
    const ref = await this.#make();
    await this.#unmount();
    return await ref.freeze();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ref = await this.#making?.catch(() => undefined);
    await this.#unmount();
    await ref?.release();
  }

  #make(): Promise<MutableRef> {
    this.#making ??= this.#refStore.createMutable(undefined, this.#record);
    return this.#making;
  }

  async #unmount(): Promise<void> {
    await this.#view?.[Symbol.asyncDispose]();
    this.#view = undefined;
  }
}
