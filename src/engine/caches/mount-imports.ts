import { asKilnError } from '../../base/errors.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import type { CacheMounts, MountPlace, PlacedMounts } from '../../cache-mounts/cache-mounts.ts';
import { isSelected, type MountSelection, parseMountSelection } from '../../cache-mounts/mount-place.ts';
import type { CacheAccess } from '../../remote-cache/cache-backend.ts';
import { defaultDocumentTimeout } from '../../remote-cache/cache-backend.ts';
import type { CacheOptions } from '../../remote-cache/import/cache-imports.ts';

interface OpenedPlace {
  readonly place: MountPlace;
  readonly selection: MountSelection;
  /** Asked for once, when a step first needs it. */
  placed?: Promise<PlacedMounts | undefined>;
}

/**
 * The cache mounts that the imports of one build bring along (their option `mounts`). Nothing is asked for before a step runs that has such a mount, and
 * that finds none of its id on this machine: what is here is never changed, and who has it waits for nobody.
 */
export class MountImports {
  readonly #mounts: CacheMounts;
  readonly #access: CacheAccess;
  readonly #places: OpenedPlace[] = [];
  readonly #brought = new Map<string, Promise<void>>();

  /** The signal of `access` aborts when the build ends. */
  constructor(mounts: CacheMounts, access: CacheAccess) {
    this.#mounts = mounts;
    this.#access = access;
  }

  /** Throws `invalid_argument`. */
  add({ type, attributes }: CacheOptions): void {
    const selection = parseMountSelection(attributes);
    if (!selection) return;
    this.#places.push({ place: this.#mounts.openPlace(type, attributes, 'import'), selection });
  }

  /** Brings a mount, if this machine has none of its id and a place has one. What fails is a warning: the step begins with an empty mount. */
  async bring(id: string, progress: ProgressWriter): Promise<void> {
    if (this.#places.length === 0 || this.#mounts.has(id)) return;
    const running = this.#brought.get(id) ?? this.#bring(id, progress);
    this.#brought.set(id, running);
    await running;
  }

  async #bring(id: string, progress: ProgressWriter): Promise<void> {
    for (const opened of this.#places) {
      if (!isSelected(opened.selection, id)) continue;
      try {
        const timeout = AbortSignal.timeout(defaultDocumentTimeout);
        const signal = AbortSignal.any([this.#access.signal, timeout]);
        opened.placed ??= this.#mounts.read(opened.place, { ...this.#access, signal });
        const placed = await opened.placed;
        const mount = placed?.mounts.find((each) => each.id === id);
        if (!mount) continue;
        await this.#mounts.import(placed!, mount, this.#access);
        return;
      } catch (error) {
        if (this.#access.signal.aborted) throw error;
        progress.warn({ level: 1, short: `cache mount ${id} begins empty: ${asKilnError(error).message}` });
      }
    }
  }
}
