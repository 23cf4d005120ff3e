import type { ImmutableRef, MountedView, MutableRef, RefStore } from '../layer/ref.ts';

/** A tree that is made only when it turns out to be needed. Disposed without a commit, it is removed. */
export class NewTree implements AsyncDisposable {
  readonly #refStore: Pick<RefStore, 'createMutable'>;
  readonly #description: string;
  #ref: MutableRef | undefined;
  #view: MountedView | undefined;

  constructor(refStore: Pick<RefStore, 'createMutable'>, description: string) {
    this.#refStore = refStore;
    this.#description = description;
  }

  /** The empty directory to fill. */
  async makeDirectory(): Promise<string> {
    this.#ref ??= await this.#refStore.createMutable(undefined, {
      type: 'source.local',
      description: this.#description,
    });
    const dir = await this.#ref.plainDir();
    if (dir !== undefined) return dir;
    this.#view ??= await this.#ref.mount();
    return this.#view.path;
  }

  /** To be called once, after `makeDirectory`. */
  async commit(options: { readonly sharesFiles: boolean }): Promise<ImmutableRef> {
    await this.makeDirectory();
    await this.#unmount();
    return await this.#ref!.commit(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unmount();
    await this.#ref?.release();
  }

  async #unmount(): Promise<void> {
    await this.#view?.[Symbol.asyncDispose]();
    this.#view = undefined;
  }
}
