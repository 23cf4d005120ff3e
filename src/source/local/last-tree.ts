import { KilnError } from '../../base/errors.ts';
import type { BaselineAccess, OpenBaseline } from '../../file-sync/receive/received-tree.ts';
import type { ImmutableRef, MutableRef } from '../../ref/ref.ts';
import type { TreeReuse } from '../../ref/ref-store.ts';

/** The tree of the last sync: held, and changed in place if that is wanted and nobody else holds it. */
export class LastTree implements AsyncDisposable {
  readonly #refStore: TreeReuse;
  #ref: ImmutableRef;
  #changing: MutableRef | undefined;

  /** The tree owns the handle. */
  constructor(refStore: TreeReuse, ref: ImmutableRef) {
    this.#refStore = refStore;
    this.#ref = ref;
  }

  get ref(): ImmutableRef {
    return this.#ref;
  }

  async open(wish: BaselineAccess): Promise<OpenBaseline> {
    this.#changing = wish === 'change' ? await this.#refStore.thaw(this.#ref) : undefined;
    const dir = this.#changing ? await this.#changing.plainDir() : (await this.#ref.layerDirs())[0];
    if (dir === undefined) throw new KilnError('internal', 'the tree of a local directory has no directory');
    return { dir, access: this.#changing ? 'change' : 'read' };
  }

  /** The changed tree. */
  async freeze(): Promise<ImmutableRef> {
    return await this.#changing!.freeze();
  }

  /** A tree that was changed and not frozen is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changing?.release();
    await this.#ref.release();
  }
}
