import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Digest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { toByteString } from '../base/text/byte-string.ts';
import type { Task } from '../base/threads/task.ts';
import { tocName } from '../layer-blob/estargz/toc-entry.ts';
import { TarParser } from '../layer-blob/tar/tar-parser.ts';
import { LayerExtractor } from '../layer-blob/unpack/layer-extractor.ts';
import { settleLayer } from '../layer-blob/unpack/unsettled-layer.ts';
import { DirectoryTreeMaker } from '../tree/directory-tree-maker.ts';
import { lazyNames } from './lazy-files.ts';
import { parseToc } from './parse-toc.ts';
import { unpackMember } from './unpack-member.ts';

/** More is not read of a table of contents. */
const maxTocSize = 64 * 1024 * 1024;
const tarBlock = 512;

export interface PrepareLayerInput {
  /** Where it is made; it must not exist. */
  readonly directory: string;
  /** The bytes of the blob that hold the table of contents. */
  readonly member: Uint8Array;
  /** Where these begin in the blob. */
  readonly memberOffset: number;
  readonly tocDigest: Digest;
  readonly form: 'overlay' | 'tree';
  /** As in `LayerTarget`. */
  readonly below: readonly string[];
}

/**
 * Makes the skeleton of a layer from its table of contents, as unpacking the layer would make its files, and the list of these. Throws
 * `data_loss` for a table that is not the one of the digest, `failed_precondition` or `invalid_argument` for one that cannot be served.
 */
const prepareLayer: Task<PrepareLayerInput, void> = (input, context) => {
  const { directory, member, memberOffset, tocDigest, form, below } = input;
  const json = readArchive(unpackMember(member, maxTocSize + 4 * tarBlock));
  if (digestOf(json) !== tocDigest) {
    throw new KilnError('data_loss', `the layer has another table of contents than ${tocDigest}`);
  }
  const { entries, files } = parseToc(json, memberOffset);
  const skeleton = path.join(directory, lazyNames.skeleton);
  mkdirSync(skeleton, { recursive: true, mode: 0o755 });
  using tree = new DirectoryTreeMaker(toByteString(skeleton));
  const extractor = new LayerExtractor({ form, tree });
  for (const { entry } of entries) {
    context.throwIfAborted();
    extractor.entry(entry);
    if (entry.size > 0) extractor.hole(entry.size);
    extractor.entryEnd();
  }
  const unsettled = extractor.finish();
  if (unsettled) settleLayer(tree, unsettled, below);
  tree.finish();
  writeFileSync(path.join(directory, lazyNames.files), JSON.stringify(files));
  writeFileSync(path.join(directory, lazyNames.data), '');
  const chunks = files.reduce((count, file) => count + file.chunks.length, 0);
  writeFileSync(path.join(directory, lazyNames.present), Buffer.alloc(chunks));
};

export default prepareLayer;

/** The table of contents: the one file of its archive, which is part of the format and not of the layer's tree. */
function readArchive(archive: Buffer): Buffer {
  let isFound = false;
  const parts: Buffer[] = [];
  const parser = new TarParser({
    entry: ({ name, type }) => {
      if (isFound || name !== tocName || type !== 'file') {
        throw new KilnError('failed_precondition', 'the table of contents is not in its place');
      }
      isFound = true;
    },
    data: (chunk) => parts.push(Buffer.from(chunk)),
    hole: () => {},
    entryEnd: () => {},
  });
  parser.write(archive);
  parser.finish();
  if (!isFound) throw new KilnError('failed_precondition', 'the layer has no table of contents');
  return Buffer.concat(parts);
}
