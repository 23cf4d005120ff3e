import { type Digest, digestOf, isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { goJson, sortedMap } from '../base/json/go-json.ts';
import { formatPlatform, type Platform } from '../base/platform.ts';
import { platformScore } from '../base/platform-match.ts';
import { type Descriptor, mediaTypes } from './descriptor.ts';
import { isIndexType, isManifestType } from './media-type.ts';
import { platformFromJson, platformToJson } from './platform-json.ts';

/** An image manifest, in OCI's or Docker's form (`mediaType` says which). */
export interface Manifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image index (a manifest list, in Docker's words). */
export interface Index {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

type Json = Readonly<Record<string, unknown>>;

const invalid = (what: string, reason: string) => new KilnError('invalid_argument', `${what}: ${reason}`);

/**
 * Reads a manifest or an index; unknown fields are passed over. `what` names it in errors. `mediaType` is what came with the bytes
 * (a descriptor, a Content-Type): it decides when the document itself has none. A document that is both, or
 * contradicts its own media type, is refused (`invalid_argument`): it could mean two different images.
 */
export function parseManifest(bytes: Uint8Array, what: string, mediaType?: string): Manifest | Index {
  let json: Json;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8')) as Json;
  } catch (cause) {
    throw new KilnError('invalid_argument', `${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid(what, 'not a JSON object');
  }
  if (json.schemaVersion === 1 || (mediaType?.includes('manifest.v1+') && json.fsLayers !== undefined)) {
    throw new KilnError(
      'failed_precondition',
      `${what}: image manifest version 2, schema 1 is not supported`,
      {
        hint: 'push the image again with a current tool',
      },
    );
  }
  const looksLikeManifest = json.config !== undefined || json.layers !== undefined;
  const looksLikeIndex = json.manifests !== undefined;
  if (looksLikeManifest && looksLikeIndex) throw invalid(what, 'both a manifest and an index');
  if (!looksLikeManifest && !looksLikeIndex) throw invalid(what, 'neither a manifest nor an index');

  const known = (type: unknown): string | undefined =>
    typeof type === 'string' && (looksLikeIndex ? isIndexType(type) : isManifestType(type))
      ? type
      : undefined;
  const opposite = (type: unknown) =>
    typeof type === 'string' && (looksLikeIndex ? isManifestType(type) : isIndexType(type));
  if (opposite(json.mediaType))
    throw invalid(what, `its content contradicts its media type ${json.mediaType}`);

  const shared = {
    artifactType: typeof json.artifactType === 'string' ? json.artifactType : undefined,
    subject: json.subject === undefined ? undefined : parseDescriptor(json.subject, `${what}: subject`),
    annotations: stringMap(json.annotations),
  };
  if (looksLikeIndex) {
    return {
      kind: 'index',
      mediaType: known(json.mediaType) ?? known(mediaType) ?? mediaTypes.dockerManifestList,
      manifests: list(json.manifests, `${what}: manifests`).map((item) =>
        parseDescriptor(item, `${what}: manifests`),
      ),
      ...shared,
    };
  }
  return {
    kind: 'manifest',
    mediaType: known(json.mediaType) ?? known(mediaType) ?? mediaTypes.dockerManifest,
    config: parseDescriptor(json.config, `${what}: config`),
    layers: list(json.layers ?? [], `${what}: layers`).map((item) =>
      parseDescriptor(item, `${what}: layers`),
    ),
    ...shared,
  };
}

/** Throws `invalid_argument`, with `what` in front. */
export function parseDescriptor(value: unknown, what: string): Descriptor {
  if (typeof value !== 'object' || value === null) throw invalid(what, 'not a descriptor');
  const json = value as Json;
  if (typeof json.digest !== 'string' || !isDigest(json.digest)) {
    throw invalid(what, `unsupported digest ${JSON.stringify(json.digest)}`);
  }
  if (typeof json.size !== 'number' || !Number.isSafeInteger(json.size) || json.size < 0) {
    throw invalid(what, `size ${JSON.stringify(json.size)} of ${json.digest} is not a number of bytes`);
  }
  return {
    mediaType: typeof json.mediaType === 'string' ? json.mediaType : '',
    digest: json.digest,
    size: json.size,
    annotations: stringMap(json.annotations),
    platform: platformFromJson(json.platform),
    urls: Array.isArray(json.urls) ? json.urls.filter((url) => typeof url === 'string') : undefined,
    artifactType: typeof json.artifactType === 'string' ? json.artifactType : undefined,
  };
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(what, 'not a list');
  return value;
}

function stringMap(value: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value).filter((entry) => typeof entry[1] === 'string');
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** A descriptor for JSON, fields in the order in which Go writes them. */
export function descriptorToJson(descriptor: Descriptor): Json {
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    urls: descriptor.urls?.length ? descriptor.urls : undefined,
    annotations: sortedMap(descriptor.annotations),
    data: descriptor.data && Buffer.from(descriptor.data).toString('base64'),
    platform: descriptor.platform && platformToJson(descriptor.platform),
    artifactType: descriptor.artifactType || undefined,
  };
}

/** The bytes of a manifest or index as BuildKit writes them: two spaces of indentation, Go's order of fields. */
export function encodeManifest(
  document: Manifest | Index,
  options: { readonly indent?: number } = { indent: 2 },
): Uint8Array {
  const content =
    document.kind === 'index'
      ? { manifests: document.manifests.map(descriptorToJson) }
      : { config: descriptorToJson(document.config), layers: document.layers.map(descriptorToJson) };
  const json = {
    schemaVersion: 2,
    mediaType: document.mediaType,
    artifactType: document.artifactType || undefined,
    ...content,
    subject: document.subject && descriptorToJson(document.subject),
    annotations: sortedMap(document.annotations),
  };
  return Buffer.from(goJson(json, options));
}

/** Marks a descriptor in an index as the attestations of another manifest, whose digest `attestedDigest` names. */
export const attestationAnnotations = {
  type: 'vnd.docker.reference.type',
  digest: 'vnd.docker.reference.digest',
} as const;

/** The type of a manifest of attestations. */
export const attestationManifestType = 'attestation-manifest';

/** Returns the manifest that an entry of an index attests something of; undefined for an entry that is an image. */
export function attestedDigest({ annotations }: Descriptor): Digest | undefined {
  const digest = annotations?.[attestationAnnotations.digest] ?? '';
  const isMarked = annotations?.[attestationAnnotations.type] === attestationManifestType;
  return isMarked && isDigest(digest) ? digest : undefined;
}

/** Attestations are no image for any platform: they say `unknown/unknown`, or refer to the manifest they belong to. */
function isAttestation(descriptor: Descriptor): boolean {
  return (
    descriptor.annotations?.[attestationAnnotations.type] === attestationManifestType ||
    descriptor.platform?.os === 'unknown'
  );
}

/** The entry of an index that serves `wanted` best, the first of equals, among those that say their platform. */
export function selectManifest(index: Index, wanted: Platform): Descriptor | undefined {
  let best: { readonly entry: Descriptor; readonly score: number } | undefined;
  for (const entry of index.manifests) {
    if (!entry.platform || isAttestation(entry)) continue;
    const score = platformScore(wanted, entry.platform);
    if (score > (best?.score ?? 0)) best = { entry, score };
  }
  return best?.entry;
}

/** The entries of an index that do not say their platform: one has to look into them. */
export function manifestsWithoutPlatform(index: Index): readonly Descriptor[] {
  return index.manifests.filter((entry) => !entry.platform && !isAttestation(entry));
}

/** What the entries of an index say they are for, in words, each once. */
export function platformsOf(index: Index): readonly string[] {
  const named = index.manifests.filter((entry) => !isAttestation(entry));
  return [...new Set(named.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : [])))];
}

/** The name of each layer together with those below it: equal chains hold equal files (image-spec, "Layer ChainID"), where the diff ids are true. */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
