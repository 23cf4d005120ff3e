import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Task } from '../base/threads/task.ts';
import { LayerFile } from './layer-file.ts';
import { type LazyChunk, type LazyFile, lazyNames } from './lazy-files.ts';
import { contentOf } from './put-chunk.task.ts';
import { unpackMember } from './unpack-member.ts';

export interface CompleteLayerInput {
  /** Of the layer (`lazyNames`). */
  readonly directory: string;
  /** The file of its whole blob. */
  readonly blob: string;
}

/** Keeps all chunks that have not come. Throws `data_loss` when one is not what the table of contents says. */
const completeLayer: Task<CompleteLayerInput, void> = (input, context) => {
  const files = JSON.parse(
    readFileSync(path.join(input.directory, lazyNames.files), 'utf8'),
  ) as readonly LazyFile[];
  using blob = new LayerFile(input.blob, 'read');
  using data = new LayerFile(path.join(input.directory, lazyNames.data));
  using present = new LayerFile(path.join(input.directory, lazyNames.present));
  const missing = files
    .flatMap(({ chunks }) => chunks)
    .filter(({ index }) => present.read(index, 1)[0] !== 1);
  for (const chunks of byMember(missing)) {
    context.throwIfAborted();
    const last = chunks.at(-1)!;
    const member = blob.read(last.memberOffset, last.memberSize);
    const unpacked = unpackMember(member, last.inner + last.size);
    for (const chunk of chunks) {
      data.write(contentOf(chunk, unpacked), chunk.position);
      present.write(Buffer.of(1), chunk.index);
    }
  }
};

export default completeLayer;

/** Small files share a gzip member: those that follow each other in one are together. */
function byMember(chunks: readonly LazyChunk[]): readonly (readonly LazyChunk[])[] {
  const groups: LazyChunk[][] = [];
  for (const chunk of chunks) {
    const before = groups.at(-1)?.at(-1);
    const follows = before?.memberOffset === chunk.memberOffset && before.inner + before.size <= chunk.inner;
    if (follows) groups.at(-1)!.push(chunk);
    else groups.push([chunk]);
  }
  return groups;
}
