import path from 'node:path';
import { findKept } from '../../images/kept-images.ts';
import type { Registry } from '../../registry/registry.ts';
import { BlobFetcher } from '../../source/blob/blob-fetcher.ts';
import { createBlobSource } from '../../source/blob/blob-source.ts';
import { createGitSource } from '../../source/git/git-source.ts';
import { createHttpSource } from '../../source/http/http-source.ts';
import { createImageSource, type LocalImages } from '../../source/image/image-source.ts';
import { createOciLayoutSource } from '../../source/image/oci-layout-source.ts';
import { createLocalSource } from '../../source/local/local-source.ts';
import type { CommitResolver, FileResolver, ImageResolver, Source } from '../../source/source.ts';
import type { EngineClients } from './open-clients.ts';
import type { EngineStorage } from './open-storage.ts';
import type { EngineThreads } from './open-threads.ts';

/** The sources of files, and the resolvers that describe what a source names without bringing it. */
export interface EngineSources extends AsyncDisposable {
  readonly byScheme: ReadonlyMap<string, Source>;
  readonly images: ImageResolver;
  readonly layouts: ImageResolver;
  readonly downloads: FileResolver;
  readonly repositories: CommitResolver;
}

export interface SourcesOptions {
  /** The engine's root. */
  readonly directory: string;
  readonly storage: EngineStorage;
  readonly threads: EngineThreads;
  readonly clients: EngineClients;
  readonly registry: Registry;
}

/** Opens every source there is: a new one is added to the list here. */
export function openSources(options: SourcesOptions): EngineSources {
  const { directory, threads, registry, clients } = options;
  const { sessions, credentials } = clients;
  const { content, checksums, images: keptImages, localTrees, downloads } = options.storage;
  const { refStore, layerImport, cacheDirectories } = options.storage;
  const localImages: LocalImages = { find: (reference) => findKept(keptImages, reference) };
  const images = createImageSource({ registry, content, layerImport, credentials, localImages });
  const layouts = createOciLayoutSource({ sessions, content, layerImport });
  const blobs = new BlobFetcher({ registry, content, credentials, sessions });
  const files = createBlobSource({ blobs, refStore });
  const local = createLocalSource({
    sessions,
    refStore,
    checksums,
    trees: localTrees,
    pool: threads.transfers,
  });
  const http = createHttpSource({ sessions, credentials, refStore, downloads, pool: threads.files });
  const git = createGitSource({
    credentials,
    refStore,
    cacheDirectories,
    blobs,
    pool: threads.files,
    directory: path.join(directory, 'git'),
  });
  const all: readonly Source[] = [images, layouts, files, local, http, git];
  return {
    byScheme: new Map(all.flatMap((source) => source.schemes.map((scheme) => [scheme, source]))),
    images,
    layouts,
    downloads: http,
    repositories: git,
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}
