import type { Task } from '../base/threads/task.ts';
import type { WrittenBlob } from './blob-sink.ts';
import type { SharedBlockRing } from './compression/block-ring.ts';
import { readLayerTar } from './compression/layer-stream.ts';
import { openBlobWriter } from './open-blob-writer.ts';
import { TarParser } from './tar/tar-parser.ts';
import { TarWriter } from './tar/tar-writer.ts';
import type { WriteLayerInput } from './write-layer.task.ts';

export type ConvertLayerInput = Omit<WriteLayerInput, 'changes' | 'form'> & {
  /** The blob's file. */
  readonly source: string;
};

const zeros = Buffer.alloc(1 << 18);

/** Compresses a layer blob anew; with an epoch, later times are replaced by it, which makes another tar. */
const convertLayer: Task<ConvertLayerInput, WrittenBlob, SharedBlockRing> = async (input, context) => {
  using blob = openBlobWriter(input, context);
  const { epoch } = input;
  if (epoch === undefined) {
    for await (const chunk of readLayerTar(input.source)) blob.write(chunk);
    return blob.finish();
  }
  const tar = new TarWriter((chunk) => blob.write(chunk));
  const latest = BigInt(epoch) * 1_000_000_000n;
  let size = 0;
  const parser = new TarParser({
    entry(entry) {
      size = entry.size;
      tar.header(entry.mtime > latest ? { ...entry, mtime: latest } : entry);
    },
    data: (chunk) => blob.write(chunk),
    hole(count) {
      for (let left = count; left > 0; left -= zeros.length) {
        context.throwIfAborted();
        blob.write(zeros.subarray(0, left));
      }
    },
    entryEnd: () => tar.pad(size),
  });
  for await (const chunk of readLayerTar(input.source)) parser.write(chunk);
  parser.finish();
  tar.end();
  return blob.finish();
};

export default convertLayer;
