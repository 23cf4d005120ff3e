import type { Digest } from '../../base/digest.ts';
import { digestHex } from '../../base/digest.ts';
import { goJson } from '../../base/text/go-json.ts';
import type { ContentStore } from '../../content/content.ts';
import { TarWriter } from '../../layer-blob/tar/tar-writer.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { encodeManifest } from '../../oci/manifest.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import type { WrittenImage } from './image-writer.ts';

export interface ImageArchiveInput {
  readonly image: WrittenImage;
  /** The root's descriptor with the annotations it gets in `index.json`. */
  readonly root: Descriptor;
  /** Canonical. */
  readonly names: readonly string[];
  /** Also write what `docker load` reads. */
  readonly dockerManifest: boolean;
}

type Member =
  | { readonly kind: 'directory'; readonly name: string }
  | { readonly kind: 'document'; readonly name: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly name: string; readonly digest: Digest; readonly size: number };

/** An image as a tar archive of an OCI layout, members sorted by name, all times zero: equal images give equal archives. */
export async function* imageArchive(
  input: ImageArchiveInput,
  content: ContentStore,
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

function membersOf({ image, root, names, dockerManifest }: ImageArchiveInput): Member[] {
  const blobs = new Map<Digest, Member>();
  const add = ({ digest, size }: Descriptor) =>
    blobs.set(digest, { kind: 'blob', name: blobName(digest), digest, size });
  add(image.root.descriptor);
  for (const { manifest, config, layers } of image.platforms) {
    add(manifest.descriptor);
    add(config.descriptor);
    for (const layer of layers) add(layer.descriptor);
  }
  const documents: Member[] = [
    {
      kind: 'document',
      name: 'oci-layout',
      mode: 0o444,
      bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
    },
    { kind: 'document', name: 'index.json', mode: 0o644, bytes: indexOf(root, names) },
  ];
  if (dockerManifest) {
    documents.push({
      kind: 'document',
      name: 'manifest.json',
      mode: 0o644,
      bytes: dockerManifestOf(image, names),
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

/** One entry for each name; without a name, one all the same. */
function indexOf(root: Descriptor, names: readonly string[]): Uint8Array {
  const manifests =
    names.length === 0
      ? [root]
      : names.map((name) => ({
          ...root,
          annotations: {
            ...root.annotations,
            'io.containerd.image.name': name,
            'org.opencontainers.image.ref.name': parseReference(name).tag ?? name,
          },
        }));
  return encodeManifest({ kind: 'index', mediaType: mediaTypes.ociIndex, manifests }, { indent: 0 });
}

function dockerManifestOf(image: WrittenImage, names: readonly string[]): Uint8Array {
  const tags = names.map((name) => familiarReference(parseReference(name)));
  const images = image.platforms.map(({ config, layers }) => ({
    Config: blobName(config.descriptor.digest),
    RepoTags: tags.length > 0 ? tags : null,
    Layers: layers.length > 0 ? layers.map((layer) => blobName(layer.descriptor.digest)) : null,
  }));
  return Buffer.from(goJson(images));
}
