import { type Digest, digestOf } from '../../../../base/digest.ts';
import { asKilnError, KilnError } from '../../../../base/errors.ts';
import { looksLikeArchive } from '../../../../base/looks-like-archive.ts';
import { files, http, marshalGraph, State, scratch, toGraph } from '../../../../llb/llb.ts';
import type { Bridge, FrontendRequest, SolvedRef } from '../../../frontend.ts';
import type { DockerfileSource } from '../../dockerfile-error.ts';
import { parseIgnoreFile } from '../values/ignore-file.ts';
import { inputTree } from '../values/input-tree.ts';
import { ClientTrees, ignoreFilename } from './client-trees.ts';
import type { ImageResolver } from './image-resolver.ts';
import { NamedContextTrees } from './named-context-trees.ts';
import { gitTree } from './remote-tree.ts';
import type { RequestOptions } from './request-options.ts';

/** The file to build from, and the vertex that loaded it. */
export interface Entrypoint {
  readonly source: DockerfileSource;
  readonly vertex: Digest;
}

type MainContext =
  | { readonly kind: 'local'; readonly name: string }
  | { readonly kind: 'tree'; readonly tree: State };

interface Origin {
  readonly context: MainContext;
  /** The tree with the Dockerfile; undefined for the client's directory `dockerfileName`. */
  readonly dockerfile: State | undefined;
  readonly dockerfileName: string;
  readonly filename: string;
}

/** What a client gives a build: the Dockerfile, the build context, and named contexts. Each is read once, when it is needed. */
export class BuildInputs {
  readonly namedContexts: NamedContextTrees;
  readonly #request: FrontendRequest;
  readonly #options: RequestOptions;
  readonly #trees: ClientTrees;
  readonly #signal: AbortSignal;
  #origin: Promise<Origin> | undefined;
  #ownIgnoreFile: Uint8Array | undefined;
  #ignored: Promise<readonly string[]> | undefined;
  #ignoreFailure: KilnError | undefined;

  constructor(
    bridge: Bridge,
    request: FrontendRequest,
    options: RequestOptions,
    images: ImageResolver,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#options = options;
    this.#trees = new ClientTrees(bridge, request, options, signal);
    this.#signal = signal;
    this.namedContexts = new NamedContextTrees(request, options, images, this.#trees);
  }

  /** Reads the Dockerfile, and its own ignore file beside it. Throws `not_found`. */
  async readEntrypoint(): Promise<Entrypoint> {
    const origin = await this.#getOrigin();
    const { filename } = origin;
    const lower = lowerCaseName(filename);
    const names = [filename, `${filename}${ignoreFilename}`, ...(lower === undefined ? [] : [lower])];
    const tree =
      origin.dockerfile ??
      this.#trees.local(origin.dockerfileName, {
        followPaths: names,
        sharedKeyHint: origin.dockerfileName,
        differ: 'none',
        name: `[internal] load build definition from ${filename}`,
      });
    const graph = toGraph(tree);
    const ref = await this.#trees.solve(graph);
    const [data, ignore] = await Promise.all([
      this.#readFirst(ref, lower === undefined ? [filename] : [filename, lower]),
      this.#trees.readIfThere(ref, `${filename}${ignoreFilename}`),
    ]);
    this.#ownIgnoreFile = ignore;
    return {
      source: { filename, language: 'Dockerfile', data, definition: marshalGraph(graph) },
      vertex: graph.result?.digest ?? digestOf(''),
    };
  }

  /** The build context, or of a client's directory only `paths` (all of it if there are none). */
  async mainContext(paths: readonly string[]): Promise<State> {
    const { context } = await this.#getOrigin();
    if (context.kind === 'tree') return context.tree;
    const excludePatterns = await this.ignorePatterns();
    const failure = this.#ignoreFailure;
    if (failure) {
      return State.late(() => {
        throw failure;
      });
    }
    return this.#trees.local(context.name, {
      excludePatterns,
      followPaths: paths,
      sharedKeyHint: context.name,
      name: '[internal] load build context',
    });
  }

  /** The build context, if it does not come from the client. */
  async remoteContext(): Promise<State | undefined> {
    const { context } = await this.#getOrigin();
    return context.kind === 'tree' ? context.tree : undefined;
  }

  /**
   * The patterns of what is left out of the build context; none for one that does not come from the client. A client without any directories need not
   * have one for a build that reads nothing of it: `mainContext` then has the failure.
   */
  async ignorePatterns(): Promise<readonly string[]> {
    const { context } = await this.#getOrigin();
    if (context.kind === 'tree') return [];
    this.#ignored ??= this.#readIgnoreFile(context.name);
    return this.#ignored;
  }

  async #readIgnoreFile(contextName: string): Promise<readonly string[]> {
    if (this.#ownIgnoreFile) return parseIgnoreFile(this.#ownIgnoreFile);
    try {
      return await this.#trees.ignorePatterns(contextName, {
        sharedKeyHint: `${contextName}-${ignoreFilename}`,
        name: `[internal] load ${ignoreFilename}`,
      });
    } catch (error) {
      const failure = asKilnError(error);
      if (failure.code !== 'failed_precondition') throw failure;
      this.#ignoreFailure = failure;
      return [];
    }
  }

  #getOrigin(): Promise<Origin> {
    this.#origin ??= this.#findOrigin();
    return this.#origin;
  }

  async #findOrigin(): Promise<Origin> {
    const { context, filename, buildArgs } = this.#options;
    const localName = 'context';
    const dockerfileName = context.dockerfileName ?? 'dockerfile';
    const forceLocal = context.dockerfileName !== undefined;
    const scoped = (tree: State): MainContext => ({
      kind: 'tree',
      tree:
        context.subdir === undefined
          ? tree
          : scratch().file(files().copy(tree, context.subdir, '/', { dirCopyContents: true })),
    });
    const remote = (tree: State, name: string): Origin => ({
      context: scoped(tree),
      dockerfile: forceLocal ? undefined : tree,
      dockerfileName,
      filename: name,
    });
    const url = context.remote;
    if (url !== undefined) {
      const repository = gitTree(url, context.keepGitDir, Boolean(buildArgs.get('SOURCE_DATE_EPOCH')));
      if (repository) return remote(repository, filename);
      if (/^https?:\/\//.test(url)) return this.#httpOrigin(url, filename, remote);
    }
    const { inputs } = this.#request;
    const inputContext = inputs.get(localName);
    const inputDockerfile = inputs.get(dockerfileName);
    return {
      context: inputContext ? scoped(inputTree(inputContext)) : { kind: 'local', name: localName },
      dockerfile: inputDockerfile && !forceLocal ? inputTree(inputDockerfile) : undefined,
      dockerfileName,
      filename,
    };
  }

  /** A URL is an archive to unpack, or the Dockerfile itself. */
  async #httpOrigin(
    url: string,
    filename: string,
    remote: (tree: State, name: string) => Origin,
  ): Promise<Origin> {
    const download = 'context';
    const tree = http(url, { filename: download, name: '[internal] load remote build context' });
    const ref = await this.#trees.solve(toGraph(tree));
    const start = await ref?.readFile(download, { offset: 0, length: 1024 }, this.#signal);
    if (!start || !looksLikeArchive(start)) return remote(tree, download);
    const unpacked = scratch().file(files().copy(tree, `/${download}`, '/', { unpackArchive: true }));
    return remote(unpacked, filename);
  }

  async #readFirst(ref: SolvedRef | undefined, names: readonly string[]): Promise<Uint8Array> {
    let failure: unknown = new KilnError('not_found', `${names[0]}: no such file`);
    for (const [at, name] of names.entries()) {
      try {
        if (ref) return await ref.readFile(name, undefined, this.#signal);
      } catch (error) {
        if (asKilnError(error).code !== 'not_found') throw error;
        if (at === 0) failure = error;
      }
    }
    throw asKilnError(failure).wrap('failed to read dockerfile');
  }
}

/** `Dockerfile` may be written in lower case too. */
function lowerCaseName(filename: string): string | undefined {
  const slash = filename.lastIndexOf('/') + 1;
  return filename.slice(slash) === 'Dockerfile' ? `${filename.slice(0, slash)}dockerfile` : undefined;
}
