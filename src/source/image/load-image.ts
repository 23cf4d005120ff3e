import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { goJson } from '../../base/json/go-json.ts';
import { nonEmpty } from '../../base/json/json-steps.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { platformScore } from '../../base/platform-match.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { formFor, keptAnnotations, layerIdentity, withLayerForm } from '../../oci/layer-identity.ts';
import {
  type Index,
  type Manifest,
  manifestsWithoutPlatform,
  parseManifest,
  platformsOf,
  selectManifest,
} from '../../oci/manifest.ts';
import { isLayerType } from '../../oci/media-type.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import type { SourceContext } from '../source.ts';
import { sourceDigest } from '../source-digest.ts';
import type { ImageOrigin } from './image-origin.ts';

/** One platform's image, known but for the bytes of its layers. */
export interface LoadedImage {
  /** What the name resolved to: the index if there is one. */
  readonly root: Descriptor;
  readonly manifest: Descriptor;
  readonly config: Uint8Array;
  /** Bottom first. */
  readonly layers: readonly LayerBlob[];
}

const maxNesting = 4;
/** How many entries that do not say their platform are looked into, in all indexes of an image together. */
const maxLooks = 16;

/**
 * Follows a name to the manifest for `platform` and its config. A name that leads to one manifest alone means that one, whatever
 * its platform. Throws `not_found` when an index has none, saying what it has.
 */
export async function loadImage(
  origin: ImageOrigin,
  platform: Platform,
  context: SourceContext,
): Promise<LoadedImage> {
  const root = await origin.resolve(context);
  const document = await readDocument(origin, root, context);
  if (document.kind === 'manifest') return loadManifest(origin, root, root, document, context);
  const offered = new Set<string>();
  const search = { origin, platform, context, root, offered, looks: maxLooks };
  const found = await searchIndex(document, 1, search);
  if (found) return found;
  const names = [...offered].slice(0, maxNamed).join(', ').slice(0, maxNamesLength);
  throw new KilnError(
    'not_found',
    `${origin.name}: no match for platform ${formatPlatform(platform)} in manifest${names && `, which has ${names}`}: not found`,
    { hint: names ? `build for one of these, or take another image: ${names}` : undefined },
  );
}

/** The most platforms that an error names, and the most characters that it takes for them. */
const maxNamed = 32;
const maxNamesLength = 1000;

interface Search {
  readonly origin: ImageOrigin;
  readonly platform: Platform;
  readonly context: SourceContext;
  readonly root: Descriptor;
  /** The platforms that were found instead. */
  readonly offered: Set<string>;
  /** How many more entries may be looked into. */
  looks: number;
}

async function searchIndex(index: Index, depth: number, search: Search): Promise<LoadedImage | undefined> {
  const { origin, platform, context, root, offered } = search;
  if (depth > maxNesting) {
    throw new KilnError(
      'invalid_argument',
      `${origin.name}: indexes are nested more than ${maxNesting} deep`,
    );
  }
  const selected = selectManifest(index, platform);
  if (selected) {
    const document = await readDocument(origin, selected, context);
    return document.kind === 'manifest'
      ? loadManifest(origin, root, selected, document, context)
      : searchIndex(document, depth + 1, search);
  }
  for (const entry of manifestsWithoutPlatform(index)) {
    if (search.looks-- <= 0) break;
    const document = await readDocument(origin, entry, context);
    if (document.kind === 'index') {
      const found = await searchIndex(document, depth + 1, search);
      if (found) return found;
      continue;
    }
    const config = await origin.document(document.config, context);
    const made = parseImageConfig(config, `${origin.name}: image config`).platform;
    if (made && platformScore(platform, made) === 0) offered.add(formatPlatform(made));
    else return loadManifest(origin, root, entry, document, context);
  }
  for (const name of platformsOf(index)) offered.add(name);
  return undefined;
}

async function readDocument(origin: ImageOrigin, descriptor: Descriptor, context: SourceContext) {
  const bytes = await origin.document(descriptor, context);
  return parseManifest(bytes, `${origin.name}: manifest ${descriptor.digest}`, descriptor.mediaType);
}

async function loadManifest(
  origin: ImageOrigin,
  root: Descriptor,
  descriptor: Descriptor,
  manifest: Manifest,
  context: SourceContext,
): Promise<LoadedImage> {
  const config = await origin.document(manifest.config, context);
  return { root, manifest: descriptor, config, layers: layerBlobs(origin, manifest.layers, config) };
}

function layerBlobs(
  origin: ImageOrigin,
  descriptors: readonly Descriptor[],
  configBytes: Uint8Array,
): readonly LayerBlob[] {
  const config = parseImageConfig(configBytes, `${origin.name}: image config`);
  if (config.diffIds.length !== descriptors.length) {
    throw new KilnError(
      'failed_precondition',
      `${origin.name}: its manifest has ${descriptors.length} layers, its config ${config.diffIds.length}`,
    );
  }
  const form = formFor(config.platform);
  const history = config.history.filter((entry) => !entry.empty_layer);
  return descriptors.map((descriptor, index) => {
    if (!isLayerType(descriptor.mediaType)) {
      throw new KilnError(
        'failed_precondition',
        `${origin.name} is not an image: it has a layer of type ${JSON.stringify(descriptor.mediaType)}`,
      );
    }
    const created = new Date(history[index]?.created ?? Number.NaN);
    const annotations = { ...keptAnnotations(descriptor), ...origin.layerAnnotations };
    return {
      descriptor: withLayerForm({ ...descriptor, annotations }, form),
      diffId: config.diffIds[index]!,
      createdAt: Number.isNaN(created.getTime()) ? undefined : created,
      description: `pulled from ${origin.name}`,
    };
  });
}

/**
 * Names the files of an image: equal stacks of layers give equal keys, wherever they came from. Equal by their blobs, since anybody can
 * write any diff id into a config, and what was built on layers that nobody has unpacked must not count as built on others.
 */
export function imageKey(layers: readonly LayerBlob[]): Digest {
  if (layers.length === 0) return digestOf('image without layers');
  return digestOf(
    JSON.stringify(layers.map(({ descriptor, diffId }) => [layerIdentity(descriptor), diffId])),
  );
}

/**
 * The digest by which BuildKit's cache knows an image, or so many layers of it: by what its name resolved to. The other one that BuildKit has, the
 * chain of diff ids, is none that Kiln could believe (see `imageKey`).
 */
export function manifestCacheDigest(
  { root }: LoadedImage,
  { os, architecture, variant, osVersion, osFeatures }: Platform,
  layerLimit: number | undefined,
): Digest {
  const fields = {
    Digest: root.digest,
    OS: os,
    Arch: architecture,
    ...nonEmpty({ Variant: variant, OSVersion: osVersion, OSFeatures: osFeatures }),
    Limit: layerLimit,
  };
  return sourceDigest(digestOf(goJson(fields)));
}
