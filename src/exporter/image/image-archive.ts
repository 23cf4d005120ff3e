import type { Digest } from '../../base/digest.ts';
import { digestHex } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import type { ContentStore } from '../../content/content.ts';
import { TarWriter } from '../../layer-blob/tar/tar-writer.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { encodeManifest } from '../../oci/manifest.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';

export interface ImageArchiveInput {
  readonly images: readonly ArchivedImage[];
  /** Everything that the images are made of: layers, configs, manifests. May name a blob more than once. */
  readonly blobs: readonly Descriptor[];
  /** Also write what `docker load` reads, about these. */
  readonly dockerImages?: readonly DockerImage[];
}

export interface ArchivedImage {
  /** The manifest or index, with the annotations it gets in `index.json`. */
  readonly root: Descriptor;
  /** Canonical. */
  readonly names: readonly string[];
}

/** One platform's image. */
export interface DockerImage {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Canonical. */
  readonly names: readonly string[];
}

type Member =
  | { readonly kind: 'directory'; readonly name: string }
  | { readonly kind: 'document'; readonly name: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly name: string; readonly digest: Digest; readonly size: number };

/** Images as a tar archive of an OCI layout, members sorted by name, all times zero: equal images give equal archives. */
export async function* imageArchive(
  input: ImageArchiveInput,
  content: Pick<ContentStore, 'read'>,
): AsyncIterable<Uint8Array> {
  const pending: Uint8Array[] = [];
  const tar = new TarWriter((chunk) => pending.push(chunk));
  const members = membersOf(input).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const member of members) {
    switch (member.kind) {
      case 'directory':
        tar.header(entry(member.name, 'directory', 0o755, 0));
        break;
      case 'document':
        tar.header(entry(member.name, 'file', member.mode, member.bytes.length));
        pending.push(member.bytes);
        tar.pad(member.bytes.length);
        break;
      case 'blob':
        tar.header(entry(member.name, 'file', 0o444, member.size));
        yield Buffer.concat(pending.splice(0));
        yield* content.read(member.digest);
        tar.pad(member.size);
        break;
    }
  }
  tar.end();
  yield Buffer.concat(pending);
}

function entry(name: string, type: 'file' | 'directory', mode: number, size: number) {
  return {
    name,
    type,
    mode,
    uid: 0,
    gid: 0,
    size,
    mtime: 0n,
    linkName: '',
    deviceMajor: 0,
    deviceMinor: 0,
  };
}

function membersOf({ images, blobs: descriptors, dockerImages }: ImageArchiveInput): Member[] {
  const blobs = new Map<Digest, Member>();
  for (const { digest, size } of descriptors) {
    blobs.set(digest, { kind: 'blob', name: blobName(digest), digest, size });
  }
  const documents: Member[] = [
    {
      kind: 'document',
      name: 'oci-layout',
      mode: 0o444,
      bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
    },
    { kind: 'document', name: 'index.json', mode: 0o644, bytes: indexOf(images) },
  ];
  if (dockerImages) {
    documents.push({
      kind: 'document',
      name: 'manifest.json',
      mode: 0o644,
      bytes: dockerManifestOf(dockerImages),
    });
  }
  return [
    { kind: 'directory', name: 'blobs/' },
    { kind: 'directory', name: 'blobs/sha256/' },
    ...blobs.values(),
    ...documents,
  ];
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

/** One entry for each name; for an image without a name, one all the same. */
function indexOf(images: readonly ArchivedImage[]): Uint8Array {
  const manifests = images.flatMap(({ root, names }) =>
    names.length === 0
      ? [root]
      : names.map((name) => ({
          ...root,
          annotations: {
            ...root.annotations,
            'io.containerd.image.name': name,
            'org.opencontainers.image.ref.name': parseReference(name).tag ?? name,
          },
        })),
  );
  return encodeManifest({ kind: 'index', mediaType: mediaTypes.ociIndex, manifests }, { indent: 0 });
}

function dockerManifestOf(images: readonly DockerImage[]): Uint8Array {
  const entries = images.map(({ config, layers, names }) => ({
    Config: blobName(config.digest),
    RepoTags: names.length > 0 ? names.map((name) => familiarReference(parseReference(name))) : null,
    Layers: layers.length > 0 ? layers.map((layer) => blobName(layer.digest)) : null,
  }));
  return Buffer.from(goJson(entries));
}
