import { type Digest, digestOf } from '../../../../base/digest.ts';
import { asKilnError, KilnError } from '../../../../base/errors.ts';
import { looksLikeArchive } from '../../../../base/looks-like-archive.ts';
import { formatPlatform, type Platform } from '../../../../base/platform.ts';
import {
  files,
  fromDefinition,
  git,
  http,
  image,
  local,
  marshalGraph,
  type OpGraph,
  ociLayout,
  State,
  scratch,
  toGraph,
} from '../../../../llb/llb.ts';
import {
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
  withDigest,
} from '../../../../oci/reference.ts';
import type { Bridge, FrontendRequest, SolvedRef } from '../../../frontend.ts';
import type { DockerfileSource } from '../../dockerfile-error.ts';
import { parseGitRef } from '../values/git-ref.ts';
import { parseIgnoreFile } from '../values/ignore-file.ts';
import { baseImage, type ImageDraft } from '../values/image-draft.ts';
import type { ImageResolver } from './image-resolver.ts';
import type { RequestOptions } from './request-options.ts';

/** A tree that a `context:` option puts in the place of an image or stage. Without `image` it has no config of its own. */
export interface NamedContext {
  readonly tree: State;
  readonly image: ImageDraft | undefined;
  /** The image's config as it was resolved. */
  readonly config?: Uint8Array;
}

/** The file to build from, and the vertex that loaded it. */
export interface Entrypoint {
  readonly source: DockerfileSource;
  readonly vertex: Digest;
}

const ignoreFilename = '.dockerignore';

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

/** What a client gives a build: the Dockerfile, the build context, and named contexts. Each is asked for once, when needed. */
export class BuildInputs {
  readonly #bridge: Bridge;
  readonly #request: FrontendRequest;
  readonly #options: RequestOptions;
  readonly #images: ImageResolver;
  readonly #signal: AbortSignal;
  #origin: Promise<Origin> | undefined;
  #ownIgnoreFile: Uint8Array | undefined;
  #ignored: Promise<readonly string[]> | undefined;

  constructor(
    bridge: Bridge,
    request: FrontendRequest,
    options: RequestOptions,
    images: ImageResolver,
    signal: AbortSignal,
  ) {
    this.#bridge = bridge;
    this.#request = request;
    this.#options = options;
    this.#images = images;
    this.#signal = signal;
  }

  /** Reads the Dockerfile, and its own ignore file beside it. Throws `not_found`. */
  async readEntrypoint(): Promise<Entrypoint> {
    const origin = await this.#getOrigin();
    const { filename } = origin;
    const lower = lowerCaseName(filename);
    const names = [filename, `${filename}${ignoreFilename}`, ...(lower === undefined ? [] : [lower])];
    const tree =
      origin.dockerfile ??
      local(origin.dockerfileName, {
        sessionId: this.#sessionOf(origin.dockerfileName),
        followPaths: names,
        sharedKeyHint: origin.dockerfileName,
        differ: 'none',
        name: `[internal] load build definition from ${filename}`,
      });
    const graph = toGraph(tree);
    const ref = await this.#solve(graph);
    const [data, ignore] = await Promise.all([
      this.#readFirst(ref, lower === undefined ? [filename] : [filename, lower]),
      this.#readIfThere(ref, `${filename}${ignoreFilename}`),
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
    return local(context.name, {
      sessionId: this.#sessionOf(context.name),
      excludePatterns: await this.ignorePatterns(),
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

  /** The patterns of what is left out of the build context; none for one that does not come from the client. */
  async ignorePatterns(): Promise<readonly string[]> {
    const { context } = await this.#getOrigin();
    if (context.kind === 'tree') return [];
    this.#ignored ??= this.#readIgnoreFile(context.name);
    return this.#ignored;
  }

  async #readIgnoreFile(contextName: string): Promise<readonly string[]> {
    if (this.#ownIgnoreFile) return parseIgnoreFile(this.#ownIgnoreFile);
    return this.#ignorePatternsOf(
      local(contextName, {
        sessionId: this.#sessionOf(contextName),
        followPaths: [ignoreFilename],
        sharedKeyHint: `${contextName}-${ignoreFilename}`,
        differ: 'none',
        name: `[internal] load ${ignoreFilename}`,
      }),
    );
  }

  async #ignorePatternsOf(tree: State): Promise<readonly string[]> {
    const ref = await this.#solve(toGraph(tree));
    return parseIgnoreFile((await this.#readIfThere(ref, ignoreFilename)) ?? new Uint8Array());
  }

  /** Whether a `context:` option stands for `name` on `platform`. */
  hasNamedContext(name: string, platform: Platform): boolean {
    return this.#namedContextKey(name, platform) !== undefined;
  }

  /**
   * The tree of a `context:` option, or undefined when none stands for `name`. `paths` is asked, when the definition is
   * made, for what is needed of a client's directory.
   */
  async namedContext(
    name: string,
    platform: Platform,
    paths: () => readonly string[],
  ): Promise<NamedContext | undefined> {
    const key = this.#namedContextKey(name, platform);
    if (key === undefined) return undefined;
    const value = this.#options.namedContexts.get(key)!;
    const [scheme = '', rest] = value.split(/:(.*)/s);
    if (rest === undefined) {
      throw new KilnError('invalid_argument', `invalid context specifier ${value} for ${key}`, {
        hint: 'write it as docker-image://…, oci-layout://…, local:…, input:… or a URL',
      });
    }
    switch (scheme.startsWith('git@') ? 'git' : scheme) {
      case 'docker-image':
        return this.#imageContext(key, rest.replace(/^\/\//, ''), platform);
      case 'oci-layout':
        return this.#ociLayoutContext(key, rest.replace(/^\/\//, ''), platform);
      case 'local':
        return { tree: await this.#localContext(key, rest, paths), image: undefined };
      case 'input':
        return this.#inputContext(key, rest, platform);
      case 'git':
      case 'ssh':
      case 'http':
      case 'https':
        return { tree: remoteTree(key, value), image: undefined };
      default:
        throw new KilnError('invalid_argument', `unsupported context source ${scheme} for ${key}`, {
          hint: 'it can be docker-image, oci-layout, local, input, git, ssh, http or https',
        });
    }
  }

  /** The tree of a `context:` option that stands for `name`, if it is a URL. */
  remoteNamedContext(name: string, platform: Platform): State | undefined {
    const key = this.#namedContextKey(name, platform);
    const value = key && this.#options.namedContexts.get(key);
    return key && value && /^(https?:|git:|ssh:|git@)/.test(value) ? remoteTree(key, value) : undefined;
  }

  #namedContextKey(name: string, platform: Platform): string | undefined {
    if (this.#options.namedContexts.size === 0) return undefined;
    if (/^(scratch|context)$/i.test(name)) return undefined;
    const familiar = familiarReference(parseReference(name)).replace(/:latest$/, '');
    const own = `${familiar}::${formatPlatform(platform)}`;
    return [own, familiar].find((key) => this.#options.namedContexts.has(key));
  }

  async #imageContext(key: string, written: string, platform: Platform): Promise<NamedContext> {
    if (written === 'scratch') return { tree: scratch(), image: undefined };
    const reference = withDefaultTag(parseReference(written));
    const resolved = await this.#images.resolve(formatReference(reference), {
      platform,
      resolveMode: this.#options.resolveMode,
      logName: `[context ${key}] load metadata for ${written}`,
    });
    return {
      tree: image(resolved.ref, { platform, name: `[context ${key}] ${resolved.ref}` }),
      image: baseImage(resolved.config, written, platform),
      config: resolved.config,
    };
  }

  async #ociLayoutContext(key: string, written: string, platform: Platform): Promise<NamedContext> {
    const at = written.lastIndexOf('@');
    const store = written.slice(0, Math.max(at, 0)).replace(/:[^/:]*$/, '');
    const { digest } = at > 0 ? parseReference(`store${written.slice(at)}`) : { digest: undefined };
    if (!digest || store === '') {
      throw new KilnError(
        'invalid_argument',
        `oci-layout reference ${JSON.stringify(written)} has no digest`,
        {
          hint: 'write it as oci-layout://name@sha256:…',
        },
      );
    }
    const ref = formatReference(withDigest(parseReference(key.replace(/::.*$/s, '')), digest));
    const { sessionId } = this.#request;
    const resolved = await this.#images.resolve(ref, {
      platform,
      resolveMode: this.#options.resolveMode,
      logName: `[context ${key}] load metadata for ${ref}`,
      ociLayout: { sessionId, storeId: store },
    });
    const tree = ociLayout(ref, {
      sessionId,
      storeId: store,
      platform,
      name: `[context ${key}] OCI load from client`,
    });
    return { tree, image: baseImage(resolved.config, ref, platform), config: resolved.config };
  }

  async #localContext(key: string, name: string, paths: () => readonly string[]): Promise<State> {
    const sessionId = this.#sessionOf(name);
    const excludePatterns = await this.#ignorePatternsOf(
      local(name, {
        sessionId,
        followPaths: [ignoreFilename],
        sharedKeyHint: `context:${key}-${ignoreFilename}`,
        differ: 'none',
        name: `[context ${key}] load ${ignoreFilename}`,
      }),
    );
    return State.late(() =>
      local(name, {
        sessionId,
        excludePatterns,
        followPaths: paths(),
        sharedKeyHint: `context:${key}-${this.#options.sharedKeys.get(key) ?? ''}`,
        name: `[context ${key}] load from client`,
      }),
    );
  }

  #inputContext(key: string, name: string, platform: Platform): NamedContext {
    const input = this.#request.inputs.get(name);
    if (!input) throw new KilnError('invalid_argument', `invalid input ${name} for ${key}`);
    const tree = fromDefinition(input);
    const metadata = this.#options.inputMetadata.get(name);
    if (metadata === undefined) return { tree, image: undefined };
    let written: unknown;
    try {
      written = (JSON.parse(metadata) as Record<string, unknown>)['containerimage.config'];
    } catch (cause) {
      throw new KilnError('invalid_argument', `failed to parse input metadata of ${name}`, { cause });
    }
    if (typeof written !== 'string') return { tree, image: undefined };
    const config = Buffer.from(written, 'base64');
    return { tree, image: baseImage(config, `input ${name}`, platform), config };
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
      const repository = gitContext(url, context.keepGitDir, Boolean(buildArgs.get('SOURCE_DATE_EPOCH')));
      if (repository) return remote(repository, filename);
      if (/^https?:\/\//.test(url)) return this.#httpOrigin(url, filename, remote);
    }
    const { inputs } = this.#request;
    const inputContext = inputs.get(localName);
    const inputDockerfile = inputs.get(dockerfileName);
    return {
      context: inputContext ? scoped(fromDefinition(inputContext)) : { kind: 'local', name: localName },
      dockerfile: inputDockerfile && !forceLocal ? fromDefinition(inputDockerfile) : undefined,
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
    const ref = await this.#solve(toGraph(tree));
    const start = await ref?.readFile(download, { offset: 0, length: 1024 }, this.#signal);
    if (!start || !looksLikeArchive(start)) return remote(tree, download);
    const unpacked = scratch().file(files().copy(tree, `/${download}`, '/', { unpackArchive: true }));
    return remote(unpacked, filename);
  }

  async #solve(graph: OpGraph): Promise<SolvedRef | undefined> {
    const result = await this.#bridge.solve({ graph });
    return result.refs.get('');
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

  async #readIfThere(ref: SolvedRef | undefined, name: string): Promise<Uint8Array | undefined> {
    try {
      return await ref?.readFile(name, undefined, this.#signal);
    } catch (error) {
      if (asKilnError(error).code === 'not_found') return undefined;
      throw error;
    }
  }

  #sessionOf(localName: string): string {
    return this.#options.localSessionIds.get(localName) ?? this.#request.sessionId;
  }
}

function remoteTree(key: string, url: string): State {
  return gitContext(url, false, false) ?? http(url, { filename: 'context', name: `[context ${key}] ${url}` });
}

function gitContext(text: string, keepGitDir: boolean, commitTimes: boolean): State | undefined {
  const ref = parseGitRef(text);
  return (
    ref &&
    git(ref.remote, {
      ...(commitTimes && { mtime: 'commit' as const }),
      ...ref.options,
      keepGitDir: ref.options.keepGitDir || keepGitDir,
      name: `[internal] load git source ${text}`,
    })
  );
}

/** `Dockerfile` may be written in lower case too. */
function lowerCaseName(filename: string): string | undefined {
  const slash = filename.lastIndexOf('/') + 1;
  return filename.slice(slash) === 'Dockerfile' ? `${filename.slice(0, slash)}dockerfile` : undefined;
}
