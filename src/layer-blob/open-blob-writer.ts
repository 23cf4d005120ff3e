import type { TaskContext } from '../base/threads/task.ts';
import type { BlobSink } from './blob-sink.ts';
import { LayerBlobWriter } from './blob-writer.ts';
import type { BlockFormat } from './compression/block-codec.ts';
import type { SharedBlockRing } from './compression/block-ring.ts';
import { EstargzWriter } from './estargz/estargz-writer.ts';

/** How a blob is written; undefined: the tar as it is. */
export type BlobFormat =
  | BlockFormat
  | { readonly compression: 'estargz'; readonly level: number }
  | undefined;

/** Creates the file of a blob, in the thread of a task, which is asked for helpers. */
export function openBlobWriter(
  {
    path,
    format,
    maxHelpers,
  }: { readonly path: string; readonly format: BlobFormat; readonly maxHelpers: number },
  context: TaskContext<SharedBlockRing>,
): BlobSink & Disposable {
  const throwIfAborted = () => context.throwIfAborted();
  if (format?.compression === 'estargz') {
    return new EstargzWriter(path, { level: format.level, throwIfAborted });
  }
  const callHelper = (ring: SharedBlockRing) => context.emit(ring);
  return new LayerBlobWriter(path, { format, maxHelpers, callHelper, throwIfAborted });
}
