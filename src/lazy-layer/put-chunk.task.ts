import path from 'node:path';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Task } from '../base/threads/task.ts';
import { LayerFile } from './layer-file.ts';
import { type LazyChunk, lazyNames } from './lazy-files.ts';
import { unpackMember } from './unpack-member.ts';

export interface PutChunkInput {
  /** Of the layer (`lazyNames`). */
  readonly directory: string;
  readonly chunk: LazyChunk;
  /** The bytes of the blob that hold its member. */
  readonly member: Uint8Array;
}

/** Unpacks a chunk, verifies it, and keeps it. Throws `data_loss` for what is not the chunk, and a SystemError when the disk is full. */
const putChunk: Task<PutChunkInput, void> = ({ directory, chunk, member }) => {
  const content = contentOf(chunk, unpackMember(member, chunk.inner + chunk.size));
  using data = new LayerFile(path.join(directory, lazyNames.data));
  using present = new LayerFile(path.join(directory, lazyNames.present));
  data.write(content, chunk.position);
  present.write(Buffer.of(1), chunk.index);
};

export default putChunk;

/** A chunk of what its member holds. Throws `data_loss` when it is not the chunk. */
export function contentOf(chunk: LazyChunk, unpacked: Buffer): Buffer {
  const content = unpacked.subarray(chunk.inner, chunk.inner + chunk.size);
  if (content.length === chunk.size && digestOf(content) === chunk.digest) return content;
  throw new KilnError('data_loss', `a chunk at ${chunk.memberOffset} is not what the table of contents says`);
}
