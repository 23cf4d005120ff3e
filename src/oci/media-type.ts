import { KilnError } from '../base/errors.ts';
import { type Compression, mediaTypes } from './descriptor.ts';

/** Whose media types a document has: each kind of document has one of either. */
export type MediaTypeFamily = 'oci' | 'docker';

/** The media types of an image's documents. */
export const documentTypes = {
  oci: { index: mediaTypes.ociIndex, manifest: mediaTypes.ociManifest, config: mediaTypes.ociConfig },
  docker: {
    index: mediaTypes.dockerManifestList,
    manifest: mediaTypes.dockerManifest,
    config: mediaTypes.dockerConfig,
  },
} as const;

/** Deprecated forms of layers that may not be copied to other registries; read, and written back as they are. */
const ociNondistributable = 'application/vnd.oci.image.layer.nondistributable.v1.tar';
const dockerForeignLayer = 'application/vnd.docker.image.rootfs.foreign.diff.tar';

interface LayerType {
  readonly oci: string;
  readonly docker: string;
  readonly compression: Compression;
  readonly distributable: boolean;
}

const layerTypes: readonly LayerType[] = [
  {
    oci: mediaTypes.ociLayer,
    docker: mediaTypes.dockerLayer,
    compression: 'uncompressed',
    distributable: true,
  },
  {
    oci: mediaTypes.ociLayerGzip,
    docker: mediaTypes.dockerLayerGzip,
    compression: 'gzip',
    distributable: true,
  },
  {
    oci: mediaTypes.ociLayerZstd,
    docker: mediaTypes.dockerLayerZstd,
    compression: 'zstd',
    distributable: true,
  },
  { oci: ociNondistributable, docker: dockerForeignLayer, compression: 'uncompressed', distributable: false },
  {
    oci: `${ociNondistributable}+gzip`,
    docker: mediaTypes.dockerForeignLayerGzip,
    compression: 'gzip',
    distributable: false,
  },
  {
    oci: `${ociNondistributable}+zstd`,
    docker: `${dockerForeignLayer}.zstd`,
    compression: 'zstd',
    distributable: false,
  },
];

const layerType = (mediaType: string) =>
  layerTypes.find((type) => type.oci === mediaType || type.docker === mediaType);

export function isIndexType(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerManifestList;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest;
}

export function isLayerType(mediaType: string): boolean {
  return layerType(mediaType) !== undefined;
}

/** Layers with foreign media types stay where their publisher put them: they are never pushed. */
export function isDistributable(mediaType: string): boolean {
  return layerType(mediaType)?.distributable ?? true;
}

/** Throws `invalid_argument` for what is not a layer. */
export function layerCompression(mediaType: string): Compression {
  const type = layerType(mediaType);
  if (!type)
    throw new KilnError('invalid_argument', `${JSON.stringify(mediaType)} is not the media type of a layer`);
  return type.compression;
}

/** The media type of a layer that may be copied anywhere. */
export function layerMediaType(compression: Compression, family: MediaTypeFamily): string {
  return layerTypes.find((type) => type.compression === compression && type.distributable)![family];
}

/** The same kind of layer, for anybody to copy or to be left where its publisher put it; a type that is not known stays as it is. */
export function withDistributable(mediaType: string, distributable: boolean): string {
  const type = layerType(mediaType);
  const other = layerTypes.find(
    (each) => each.compression === type?.compression && each.distributable === distributable,
  );
  if (!type || !other) return mediaType;
  return type.oci === mediaType ? other.oci : other.docker;
}

/** The same kind of layer in the words of `family`; a type that is not known stays as it is. */
export function translateLayerType(mediaType: string, family: MediaTypeFamily): string {
  return layerType(mediaType)?.[family] ?? mediaType;
}

/** What a client accepts when it asks for a manifest, best first. */
export const acceptedManifests: string = [
  mediaTypes.dockerManifest,
  mediaTypes.dockerManifestList,
  mediaTypes.ociManifest,
  mediaTypes.ociIndex,
].join(', ');
