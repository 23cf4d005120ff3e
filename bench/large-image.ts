import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../src/base/digest.ts';
import { writeBlob } from '../src/content/content.ts';
import { openLocalContentStore } from '../src/content/local-content-store.ts';
import { TarWriter } from '../src/layer-blob/tar/tar-writer.ts';
import { type Descriptor, mediaTypes } from '../src/oci/descriptor.ts';
import { encodeManifest } from '../src/oci/manifest.ts';
import { parseReference } from '../src/oci/reference.ts';
import { createRegistry } from '../src/registry/http-registry.ts';
import { anonymousAuth } from '../src/registry/registry.ts';

export interface LargeImage {
  /** `host/repository:tag`. */
  readonly name: string;
  readonly layers: number;
  /** In all layers. */
  readonly files: number;
  /** Of all files, bytes. */
  readonly size: number;
}

/** Pushes an image whose files are half random and half text. */
export async function pushLargeImage({ name, layers, files, size }: LargeImage): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'kiln-large-image-'));
  try {
    const store = await openLocalContentStore(directory);
    await using registry = createRegistry();
    const reference = parseReference(name);
    const access = { signal: AbortSignal.timeout(600_000), auth: anonymousAuth };
    const push = async (bytes: Uint8Array, mediaType: string): Promise<Descriptor> => {
      const descriptor = { ...(await writeBlob(store, bytes)), mediaType };
      const body = { open: async () => store.read(descriptor.digest) };
      await registry.pushBlob(reference, descriptor, body, access);
      await store.delete(descriptor.digest);
      return descriptor;
    };
    const blobs: Descriptor[] = [];
    const diffIds: string[] = [];
    for (let index = 0; index < layers; index++) {
      const tar = layerTar(index, files / layers, Math.floor(size / files));
      diffIds.push(digestOf(tar));
      blobs.push(await push(gzipSync(tar, { level: 1 }), mediaTypes.ociLayerGzip));
    }
    const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } };
    const mediaType = mediaTypes.ociManifest;
    const described = await push(Buffer.from(JSON.stringify(config)), mediaTypes.ociConfig);
    const bytes = encodeManifest({ kind: 'manifest', mediaType, config: described, layers: blobs });
    const manifest = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await registry.pushManifest(reference, manifest, bytes, access);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function layerTar(layer: number, files: number, size: number): Buffer {
  const chunks: Uint8Array[] = [];
  const tar = new TarWriter((chunk) => chunks.push(Buffer.from(chunk)));
  const common = { uid: 0, gid: 0, mtime: 0n, linkName: '', deviceMajor: 0, deviceMinor: 0 };
  const folder = (name: string) => tar.header({ ...common, name, type: 'directory', mode: 0o755, size: 0 });
  const text = Buffer.alloc(size >> 1, 'export const answer = 42; // as everybody knows\n');
  folder(`layer-${layer}/`);
  for (let index = 0; index < files; index++) {
    if (index % 100 === 0) folder(`layer-${layer}/${index / 100}/`);
    const name = `layer-${layer}/${Math.floor(index / 100)}/${index}.bin`;
    const data = [randomBytes(size - text.length), text];
    tar.header({ ...common, name, type: 'file', mode: 0o644, size });
    chunks.push(...data);
    tar.pad(size);
  }
  tar.end();
  return Buffer.concat(chunks);
}
