import path from 'node:path/posix';
import type { Digest } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import { readLayerTar } from '../../layer-blob/compression/layer-stream.ts';
import { TarParser } from '../../layer-blob/tar/tar-parser.ts';
import { isWhiteoutEntry, whiteoutPrefix } from '../../layer-blob/whiteout-format.ts';

export interface SbomLayers {
  /** JSON. */
  readonly predicate: Uint8Array;
  /** Bottom first. `file` holds the layer's blob. */
  readonly layers: readonly { readonly digest: Digest; readonly file: string }[];
  /** The tool that is named in the document: `kiln-0.1.0`. */
  readonly tool: string;
}

/** As much of SPDX's JSON (2.1 to 2.3) as is changed here. */
interface SpdxDocument {
  readonly spdxVersion?: unknown;
  files?: unknown;
  creationInfo?: unknown;
}

/**
 * Says in an SBOM which layer each of its files came with. Files that have a comment keep it. What is no SPDX document stays as it is:
 * whoever made it knows what it means.
 */
export default async function supplementSbomTask(
  { predicate, layers, tool }: SbomLayers,
  context: TaskContext,
): Promise<Uint8Array> {
  const document = parseDocument(predicate);
  if (!document) return predicate;
  const files = (Array.isArray(document.files) ? document.files : []).filter(isUncommented);
  const wanted = new Map<ByteString, Digest | undefined>(
    files.map(({ fileName }) => [pathOf(toByteString(fileName)), undefined]),
  );
  await findLayers(wanted, layers, context);
  for (const file of files) {
    const layer = wanted.get(pathOf(toByteString(file.fileName)));
    if (layer !== undefined) file.comment = `layerID: ${layer}`;
  }
  const info = isRecord(document.creationInfo) ? document.creationInfo : {};
  const creators: readonly unknown[] = Array.isArray(info.creators) ? info.creators : [];
  document.creationInfo = { ...info, creators: [...creators, `Tool: ${tool}`] };
  return Buffer.from(goJson(document));
}

function parseDocument(predicate: Uint8Array): SpdxDocument | undefined {
  if (predicate.length === 0) return undefined;
  const document: unknown = JSON.parse(Buffer.from(predicate).toString('utf8'));
  if (!isRecord(document) || typeof document.spdxVersion !== 'string') return undefined;
  return /^SPDX-2\.[1-3]$/.test(document.spdxVersion) ? document : undefined;
}

interface SpdxFile {
  readonly fileName: string;
  comment?: unknown;
}

function isUncommented(file: unknown): file is SpdxFile {
  return isRecord(file) && typeof file.fileName === 'string' && (file.comment ?? '') === '';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Looks from the top down, and no further than needed: what a layer has hides what is below it. A deletion says nothing about where a file came from. */
async function findLayers(
  wanted: Map<ByteString, Digest | undefined>,
  layers: SbomLayers['layers'],
  context: TaskContext,
): Promise<void> {
  let missing = wanted.size;
  for (const { digest, file } of layers.toReversed()) {
    if (missing === 0) return;
    const parser = new TarParser({
      entry(entry) {
        if (isWhiteoutEntry(entry)) return;
        const name = pathOf(entry.name);
        if (path.basename(name).startsWith(whiteoutPrefix)) return;
        if (!wanted.has(name) || wanted.get(name) !== undefined) return;
        wanted.set(name, digest);
        missing--;
      },
      data() {},
      hole() {},
      entryEnd() {},
    });
    for await (const chunk of readLayerTar(file, `layer ${digest}`)) {
      context.throwIfAborted();
      parser.write(chunk);
      if (parser.isAtEnd || missing === 0) break;
    }
  }
}

/** Absolute, without `.`, `..` and double slashes. */
function pathOf(name: ByteString): ByteString {
  return path.join('/', name).replace(/(.)\/$/, '$1');
}
