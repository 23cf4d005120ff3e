import type { Digest } from '../base/digest.ts';
import { Digester } from '../base/digest.ts';
import type { Task } from '../base/threads/task.ts';
import { readLayerTar } from './compression/layer-stream.ts';
import { type ExtractionForm, LayerExtractor } from './layer-extractor.ts';
import { TarParser } from './tar/tar-parser.ts';

export interface ExtractLayerInput {
  /** The blob's file. */
  readonly source: string;
  readonly dir: string;
  readonly form: Exclude<ExtractionForm, 'archive'>;
  readonly below: readonly string[];
}

export interface ExtractedLayer {
  readonly diffId: Digest;
  /** Bytes of the uncompressed tar. */
  readonly size: number;
}

/** Unpacks a layer blob into a directory. */
const extractLayer: Task<ExtractLayerInput, ExtractedLayer> = async (input, context) => {
  const digester = new Digester();
  let size = 0;
  using extractor = new LayerExtractor(input.dir, input.form, input.below);
  const parser = new TarParser(extractor);
  for await (const chunk of readLayerTar(input.source)) {
    context.throwIfAborted();
    digester.update(chunk);
    size += chunk.length;
    parser.write(chunk);
  }
  parser.finish();
  extractor.finish();
  return { diffId: digester.digest(), size };
};

export default extractLayer;
