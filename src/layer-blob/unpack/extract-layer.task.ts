import { writeFileSync } from 'node:fs';
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
import { packUnsettled } from './unsettled-layer.ts';

export interface ExtractLayerInput {
  /** The blob's file. */
  readonly source: string;
  readonly dir: string;
  readonly form: 'overlay' | 'tree';
  readonly layout: LayerForm;
  /** The file to create for what is left to do when the layers below are there (`packUnsettled`). It can be large, and wait for long. */
  readonly unsettled: string;
}

export interface ExtractedLayer {
  readonly diffId: Digest;
  /** Bytes of the uncompressed tar. */
  readonly size: number;
  /** Whether nothing is left to do. */
  readonly settled: boolean;
}

/** Unpacks a layer blob into a directory. Nothing needs to be known of the layers below. */
const extractLayer: Task<ExtractLayerInput, ExtractedLayer> = async (input, context) => {
  const digester = new Digester();
  let size = 0;
  using tree = new DirectoryTreeMaker(toByteString(input.dir));
  const extractor = new LayerExtractor({ form: input.form, tree });
  const parser = new TarParser(input.layout === 'windows' ? new WindowsLayerFiles(extractor) : extractor);
  for await (const chunk of readLayerTar(input.source)) {
    context.throwIfAborted();
    digester.update(chunk);
    size += chunk.length;
    parser.write(chunk);
  }
  parser.finish();
  const unsettled = extractor.finish();
  tree.finish();
  if (unsettled) writeFileSync(input.unsettled, packUnsettled(unsettled), { flag: 'wx', mode: 0o600 });
  return { diffId: digester.digest(), size, settled: !unsettled };
};

export default extractLayer;
