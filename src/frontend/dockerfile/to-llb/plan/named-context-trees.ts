import { asKilnError, KilnError } from '../../../../base/errors.ts';
import { formatPlatform, type Platform } from '../../../../base/platform.ts';
import { image, ociLayout, State, scratch } from '../../../../llb/llb.ts';
import {
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
  withDigest,
} from '../../../../oci/reference.ts';
import type { FrontendRequest } from '../../../frontend.ts';
import { baseImage, type ImageDraft } from '../values/image-draft.ts';
import { inputTree } from '../values/input-tree.ts';
import { type ClientTrees, ignoreFilename } from './client-trees.ts';
import type { ImageResolver } from './image-resolver.ts';
import { remoteTree } from './remote-tree.ts';
import type { RequestOptions } from './request-options.ts';

/** A tree in the place of an image or stage. Without `image` it has no config of its own. */
export interface NamedContext {
  readonly tree: State;
  readonly image: ImageDraft | undefined;
  /** The image's config as it was resolved. */
  readonly config?: Uint8Array;
}

/** The `context:` options of a request: each puts a tree in the place of an image or stage. */
export class NamedContextTrees {
  readonly #request: Pick<FrontendRequest, 'inputs' | 'sessionId'>;
  readonly #options: RequestOptions;
  readonly #images: ImageResolver;
  readonly #trees: ClientTrees;

  constructor(
    request: Pick<FrontendRequest, 'inputs' | 'sessionId'>,
    options: RequestOptions,
    images: ImageResolver,
    trees: ClientTrees,
  ) {
    this.#request = request;
    this.#options = options;
    this.#images = images;
    this.#trees = trees;
  }

  /** Whether an option stands for `name` on `platform`. */
  has(name: string, platform: Platform): boolean {
    return this.#keyOf(name, platform) !== undefined;
  }

  /**
   * The tree that stands for `name`, or undefined when no option does. `paths` is called when the graph is made, for the
   * paths that are needed of a client's directory. Throws `invalid_argument` naming the option.
   */
  async find(
    name: string,
    platform: Platform,
    paths: () => readonly string[],
  ): Promise<NamedContext | undefined> {
    const key = this.#keyOf(name, platform);
    if (key === undefined) return undefined;
    return await this.#load(key, this.#options.namedContexts.get(key)!, platform, paths);
  }

  async #load(
    key: string,
    value: string,
    platform: Platform,
    paths: () => readonly string[],
  ): Promise<NamedContext> {
    const [scheme = '', rest] = value.split(/:(.*)/s);
    if (rest === undefined) {
      throw new KilnError('invalid_argument', `invalid context specifier ${value} for ${key}`, {
        hint: 'write it as docker-image://…, oci-layout://…, local:…, input:… or a URL',
      });
    }
    switch (scheme.startsWith('git@') ? 'git' : scheme) {
      case 'docker-image':
        return this.#imageContext(key, rest.replace(/^\/\//, ''), platform, paths);
      case 'oci-layout':
        return this.#ociLayoutContext(key, rest.replace(/^\/\//, ''), platform);
      case 'local':
        return { tree: await this.#localContext(key, rest.replace(/^\/\//, ''), paths), image: undefined };
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

  /** The tree that stands for `name`, if it is a URL. */
  findRemote(name: string, platform: Platform): State | undefined {
    const key = this.#keyOf(name, platform);
    const value = key && this.#options.namedContexts.get(key);
    return key && value && /^(https?:|git:|ssh:|git@)/.test(value) ? remoteTree(key, value) : undefined;
  }

  #keyOf(name: string, platform: Platform): string | undefined {
    if (this.#options.namedContexts.size === 0) return undefined;
    if (/^(scratch|context)$/i.test(name)) return undefined;
    const familiar = familiarReference(parseReference(name)).replace(/:latest$/, '');
    const own = `${familiar}::${formatPlatform(platform)}`;
    return [own, familiar].find((key) => this.#options.namedContexts.has(key));
  }

  async #imageContext(
    key: string,
    written: string,
    platform: Platform,
    paths: () => readonly string[],
  ): Promise<NamedContext> {
    if (written === 'scratch') return { tree: scratch(), image: undefined };
    const reference = withDefaultTag(parseReference(written));
    const found = this.#images.resolve(formatReference(reference), {
      platform,
      resolveMode: this.#options.resolveMode,
      logName: `[context ${key}] load metadata for ${written}`,
    });
    const resolved = await found.catch((error: unknown) => {
      const converted = asKilnError(error).details.find(({ kind }) => kind === 'converted');
      // A policy has put in its place what is no image, so nothing converts it into one again.
      if (converted?.kind === 'converted') return converted;
      throw error;
    });
    if ('kind' in resolved) return await this.#load(key, resolved.identifier, platform, paths);
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
    const excludePatterns = await this.#trees.ignorePatterns(name, {
      sharedKeyHint: `context:${key}-${ignoreFilename}`,
      name: `[context ${key}] load ${ignoreFilename}`,
    });
    return State.late(() =>
      this.#trees.local(name, {
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
    const tree = inputTree(input);
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
}
