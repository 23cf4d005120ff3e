import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { mustRun } from './run-program.ts';
import type { WorkDirectory } from './work-directory.ts';

/** What tests look at in an image's config. */
export interface ImageJson {
  readonly architecture: string;
  readonly os: string;
  readonly created?: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
}

export interface DescriptorJson {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: { readonly architecture: string; readonly os: string; readonly variant?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An unpacked OCI layout of one image. */
export interface Layout {
  readonly directory: string;
  readonly tag: string;
  readonly manifestDigest: string;
  readonly manifest: { readonly config: DescriptorJson; readonly layers: readonly DescriptorJson[] };
  readonly image: ImageJson;
}

/** Takes an OCI archive apart. */
export async function openArchive(archive: string, work: WorkDirectory): Promise<Layout> {
  const directory = work.tree({});
  await mustRun('tar', ['-xf', archive, '-C', directory]);
  return readLayout(directory);
}

/** Reads a layout whose index names one image. */
export function readLayout(directory: string): Layout {
  const index = JSON.parse(readFileSync(path.join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly DescriptorJson[];
  };
  const [descriptor] = index.manifests;
  if (!descriptor || index.manifests.length !== 1) {
    throw new Error(`${directory} has ${index.manifests.length} images, not one`);
  }
  const manifest = readBlob<Layout['manifest']>(directory, descriptor.digest);
  return {
    directory,
    tag: descriptor.annotations?.['org.opencontainers.image.ref.name'] ?? '',
    manifestDigest: descriptor.digest,
    manifest,
    image: manifest.config ? readBlob<ImageJson>(directory, manifest.config.digest) : ({} as ImageJson),
  };
}

export function readBlob<T>(directory: string, digest: string): T {
  return JSON.parse(readFileSync(path.join(directory, 'blobs', ...digest.split(':')), 'utf8')) as T;
}

/** Unpacks the image's files with umoci; returns the directory they are in. */
export async function unpackFiles(layout: Layout, work: WorkDirectory): Promise<string> {
  const bundle = work.at(`bundle-${path.basename(layout.directory)}`);
  mkdirSync(path.dirname(bundle), { recursive: true });
  await mustRun('umoci', ['unpack', '--image', `${layout.directory}:${layout.tag}`, bundle]);
  return path.join(bundle, 'rootfs');
}
