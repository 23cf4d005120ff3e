import type { Task } from '../base/threads/task.ts';
import type { LayerForm } from '../oci/layer-identity.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import type { WrittenBlob } from './blob-sink.ts';
import type { SharedBlockRing } from './compression/block-ring.ts';
import { visitLayerChanges } from './layer-changes.ts';
import { LayerTarWriter } from './layer-tar.ts';
import { type BlobFormat, openBlobWriter } from './open-blob-writer.ts';

export interface WriteLayerInput {
  readonly changes: SnapshotChanges;
  readonly form: LayerForm;
  /** The file to create. */
  readonly path: string;
  readonly format: BlobFormat;
  /** Seconds since 1970. */
  readonly epoch: number | undefined;
  readonly maxHelpers: number;
}

/** Writes a snapshot's changes as a layer blob. Emits the ring once for each thread that could help compressing. */
const writeLayer: Task<WriteLayerInput, WrittenBlob, SharedBlockRing> = (input, context) => {
  using blob = openBlobWriter(input, context);
  const tar = new LayerTarWriter(blob, { epoch: input.epoch, form: input.form });
  visitLayerChanges(input.changes, (change, parents) => {
    context.throwIfAborted();
    tar.change(change, parents);
  });
  tar.end();
  return blob.finish();
};

export default writeLayer;
