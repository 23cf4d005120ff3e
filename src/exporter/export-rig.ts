import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parsePlatform } from '../base/platform.ts';
import { silentProgress } from '../base/progress.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ContentStore } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import type { ClientOutput, OutputTree } from '../file-sync/client-output.ts';
import { createLayerDiffer } from '../layer-blob/layer-differ.ts';
import type { LayerExport } from '../ref/layer-export.ts';
import type { ImmutableRef, RefId } from '../ref/ref.ts';
import type { ExportContext, ExportInput, PlatformResult } from './exporter.ts';

/**
 * What exporters work on, for tests: a content store and layers made by the real differ, of trees that are plain directories,
 * each one layer; and a client that writes what it is sent to files.
 */
export interface ExportRig extends AsyncDisposable {
  readonly directory: string;
  readonly content: ContentStore;
  readonly pool: ThreadPool;
  readonly layerExport: LayerExport;
  readonly tool: string;
  readonly output: ClientOutput;
  /** Where the client writes its file. */
  readonly outputFile: string;
  readonly sentTrees: (OutputTree & { readonly deleteOthers: boolean })[];
  readonly context: ExportContext;
  /** A result whose files are those of `tree`. */
  result(tree: string | undefined, overrides?: Partial<PlatformResult>): PlatformResult;
  input(results: readonly PlatformResult[], metadata?: Record<string, string>): ExportInput;
}

export async function createExportRig(): Promise<ExportRig> {
  const directory = await mkdtemp(path.join(tmpdir(), 'kiln-export-'));
  const pool = new ThreadPool();
  const content = await openLocalContentStore(path.join(directory, 'content'));
  const differ = createLayerDiffer({ pool });
  const outputFile = path.join(directory, 'output');
  await mkdir(path.join(directory, 'empty'));
  const sentTrees: (OutputTree & { readonly deleteOthers: boolean })[] = [];

  const refOf = (tree: string): ImmutableRef => {
    const ref: ImmutableRef = {
      id: tree as RefId,
      description: 'test tree',
      clone: () => ref,
      release: async () => {},
      snapshotMount: async () => ({ kind: 'bind', source: tree, readonly: true }),
      mount: async () => ({ path: tree, [Symbol.asyncDispose]: async () => {} }),
      layerDirs: async () => [tree],
      mountPartly: async () => ({ path: tree, [Symbol.asyncDispose]: async () => {} }),
      reader: () => undefined,
      layers: () => [
        { id: ref.id, blobs: [], createdAt: new Date('2024-05-06T07:08:09Z'), description: 'COPY tree /' },
      ],
    };
    return ref;
  };

  return {
    directory,
    content,
    pool,
    tool: 'kiln-test',
    outputFile,
    sentTrees,
    layerExport: {
      async blobs(ref, options) {
        return [await differ.diff({ kind: 'trees', upper: ref.id }, content, options)];
      },
      ensureBlob: async () => {},
    },
    output: {
      async openFile() {
        const file = await open(outputFile, 'w');
        return {
          write: async (chunk) => void (await file.write(chunk)),
          close: () => file.close(),
          [Symbol.asyncDispose]: () => file.close(),
        };
      },
      async sendTrees(_target, trees, { deleteOthers }) {
        sentTrees.push(...trees.map((tree) => ({ ...tree, deleteOthers })));
      },
    },
    context: {
      signal: AbortSignal.timeout(60_000),
      progress: silentProgress,
      sessionId: 'test',
      index: 0,
    },
    result: (tree, overrides) => ({
      key: '',
      platform: parsePlatform('linux/amd64'),
      ref: tree === undefined ? undefined : refOf(tree),
      config: undefined,
      attestations: [],
      ...overrides,
    }),
    input: (results, metadata = {}) => ({
      results,
      metadata: Object.fromEntries(
        Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value)] as const),
      ),
    }),
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
