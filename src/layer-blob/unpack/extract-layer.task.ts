import type { Digest } from '../../base/digest.ts';
import { Digester } from '../../base/digest.ts';
import { toByteString } from '../../base/text/byte-string.ts';
import type { Task } from '../../base/threads/task.ts';
import type { LayerForm } from '../../oci/layer-identity.ts';
import { DirectoryTreeMaker } from '../../tree/directory-tree-maker.ts';
import { readLayerTar } from '../compression/layer-stream.ts';
import { TarParser } from '../tar/tar-parser.ts';
import { WindowsLayerFiles } from '../windows-layer.ts';
import { LayerExtractor } from './layer-extractor.ts';

export interface ExtractLayerInput {
  /** The blob's file. */
  readonly source: string;
  readonly dir: string;
  readonly form: 'overlay' | 'tree';
  readonly below: readonly string[];
  readonly layout: LayerForm;
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
  const { form, below } = input;
  using tree = new DirectoryTreeMaker(toByteString(input.dir));
  const extractor = new LayerExtractor(form === 'overlay' ? { form, tree, below } : { form, tree });
  const parser = new TarParser(input.layout === 'windows' ? new WindowsLayerFiles(extractor) : extractor);
  for await (const chunk of readLayerTar(input.source)) {
    context.throwIfAborted();
    digester.update(chunk);
    size += chunk.length;
    parser.write(chunk);
  }
  parser.finish();
  extractor.finish();
  tree.finish();
  return { diffId: digester.digest(), size };
};

export default extractLayer;
