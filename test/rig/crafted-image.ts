import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TarEntry } from '../../src/layer-blob/tar/tar-entry.ts';
import { TarWriter } from '../../src/layer-blob/tar/tar-writer.ts';

/** A layer as bytes, and what the image says of it. */
export interface CraftedLayer {
  readonly tar: Uint8Array;
  /** What the config claims; the truth without it. */
  readonly diffId?: string;
  /** More fields of the manifest's descriptor. */
  readonly descriptor?: Readonly<Record<string, unknown>>;
}

/** Writes an OCI layout, with the tag `latest`, of an image that may claim what it likes, in `fields` of its config too. */
export function craftImage(
  directory: string,
  layers: readonly CraftedLayer[],
  fields: Readonly<Record<string, unknown>> = {},
): void {
  const blobs = path.join(directory, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: string | Uint8Array, mediaType: string) => {
    const digest = digestOf(bytes);
    writeFileSync(path.join(blobs, digest.slice('sha256:'.length)), bytes);
    return { mediaType, digest, size: Buffer.byteLength(bytes) };
  };
  const config = JSON.stringify({
    architecture: { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch,
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: layers.map(({ tar, diffId }) => diffId ?? digestOf(tar)) },
    ...fields,
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: put(config, 'application/vnd.oci.image.config.v1+json'),
    layers: layers.map(({ tar, descriptor }) => ({
      ...put(tar, 'application/vnd.oci.image.layer.v1.tar'),
      ...descriptor,
    })),
  });
  const annotations = { 'org.opencontainers.image.ref.name': 'latest' };
  const described = put(manifest, 'application/vnd.oci.image.manifest.v1+json');
  writeFileSync(path.join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(
    path.join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...described, annotations }] }),
  );
}

/** A tar archive of files by content, or of entries as they are. */
export function tarOf(
  entries: readonly (Partial<TarEntry> & { readonly name: string; readonly data?: string })[],
): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = new TarWriter((chunk) => chunks.push(Uint8Array.from(chunk)));
  for (const { data = '', ...entry } of entries) {
    const bytes = Buffer.from(data);
    writer.header({
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: 0n,
      linkName: '',
      deviceMajor: 0,
      deviceMinor: 0,
      ...entry,
      size: bytes.length,
    });
    if (bytes.length === 0) continue;
    chunks.push(bytes);
    writer.pad(bytes.length);
  }
  writer.end();
  return Buffer.concat(chunks);
}

export function digestOf(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
