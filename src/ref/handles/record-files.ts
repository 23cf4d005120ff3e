import type { WaitContext } from '../../base/progress.ts';
import type { SnapshotMount, Snapshotter } from '../../snapshot/snapshot.ts';
import type { LazyLayers } from '../layers/lazy-layers.ts';
import { publicId, type RefRecord, snapshotOf } from '../records/ref-record.ts';
import type { MountedView } from '../ref.ts';
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

  mountReadonly(record: RefRecord): Promise<MountedView> {
    return this.#mounts.mount(publicId(record), () => this.snapshotMount(record, { readonly: true }));
  }

  mountWritable(record: RefRecord): Promise<MountedView> {
    return this.#mounts.mount(`${record.id} writable`, async () => {
      const source = await this.plainDir(record);
      return source === undefined
        ? await this.snapshotMount(record, { readonly: false })
        : { kind: 'bind', source, readonly: false };
    });
  }

  snapshotMount(record: RefRecord, access: { readonly readonly: boolean }): Promise<SnapshotMount> {
    return this.#snapshotter.mount(snapshotOf(record), access);
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
