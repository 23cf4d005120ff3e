import type { WaitContext } from '../../base/progress.ts';
import type { SnapshotMount, Snapshotter } from '../../snapshot/snapshot.ts';
import type { LazyLayers } from '../layers/lazy-layers.ts';
import type { PartlyHere } from '../layers/partly-here.ts';
import { publicId, type RefRecord, snapshotOf } from '../records/ref-record.ts';
import type { MountedView, TreeReader } from '../ref.ts';
import type { RefMounts } from './ref-mounts.ts';

/** Shows the files of records. */
export class RecordFiles {
  readonly #snapshotter: Snapshotter;
  readonly #mounts: RefMounts;
  readonly #lazyLayers: LazyLayers;

  constructor(parts: {
    readonly snapshotter: Snapshotter;
    readonly mounts: RefMounts;
    readonly lazyLayers: LazyLayers;
  }) {
    this.#snapshotter = parts.snapshotter;
    this.#mounts = parts.mounts;
    this.#lazyLayers = parts.lazyLayers;
  }

  /** Fetches, unpacks, merges and diffs whatever the files of the record need. The other methods expect that it was done. */
  materialize(record: RefRecord, context: WaitContext | undefined): Promise<void> {
    return this.#lazyLayers.materialize(record, context);
  }

  /** What has to be known of a tree some of whose files come over the network while they are read; undefined for others. */
  partlyHere(record: RefRecord): PartlyHere | undefined {
    return this.#lazyLayers.partlyHere(record);
  }

  /** Registers work that reads the record's tree: see `ImmutableRef.reader`. */
  reader(record: RefRecord, signal: AbortSignal): TreeReader | undefined {
    return this.#lazyLayers.reader(record, signal);
  }

  async mountReadonly(record: RefRecord): Promise<MountedView> {
    const view = await this.#mounts.mount(publicId(record), () =>
      this.snapshotMount(record, { readonly: true }),
    );
    return this.#withPart(record, view);
  }

  async mountWritable(record: RefRecord): Promise<MountedView> {
    const view = await this.#mounts.mount(`${record.id} writable`, async () => {
      const source = await this.plainDir(record);
      return source === undefined
        ? await this.snapshotMount(record, { readonly: false })
        : { kind: 'bind', source, readonly: false };
    });
    return this.#withPart(record, view);
  }

  async snapshotMount(record: RefRecord, access: { readonly readonly: boolean }): Promise<SnapshotMount> {
    return this.#withPart(record, await this.#snapshotter.mount(snapshotOf(record), access));
  }

  #withPart<T extends object>(record: RefRecord, shown: T): T {
    const partlyHere = this.partlyHere(record);
    return partlyHere ? { ...shown, partlyHere } : shown;
  }

  /** Returns the directory to write to without a mount, or undefined when there is none. */
  async plainDir(record: RefRecord): Promise<string | undefined> {
    const { dir, form } = await this.#snapshotter.writableLayerDir(snapshotOf(record));
    return form === 'tree' ? dir : undefined;
  }

  layerDirs(record: RefRecord): Promise<readonly string[]> {
    return this.#snapshotter.layerDirs(snapshotOf(record));
  }
}
