import type { WaitContext } from '../base/progress.ts';
import type { SnapshotMount } from '../snapshot/snapshot.ts';
import type { ImmutableRef, LayerInfo, MountedView } from './ref.ts';
import type { RefRecord } from './ref-record.ts';

/** The part of the store that its handles work with. */
export interface RefOperations {
  release(record: RefRecord): void;
  retain(record: RefRecord): ImmutableRef;
  finalize(record: RefRecord): Promise<void>;
  make(record: RefRecord, context: WaitContext | undefined): Promise<void>;
  mountReadonly(record: RefRecord): Promise<MountedView>;
  mountWritable(record: RefRecord): Promise<MountedView>;
  snapshotMount(record: RefRecord, access: { readonly readonly: boolean }): Promise<SnapshotMount>;
  plainDir(record: RefRecord): Promise<string | undefined>;
  layerDirs(record: RefRecord): Promise<readonly string[]>;
  layers(record: RefRecord): readonly LayerInfo[];
  commit(record: RefRecord): Promise<ImmutableRef>;
  discard(record: RefRecord): Promise<void>;
  freeze(record: RefRecord): Promise<ImmutableRef>;
}
