import { digestOf } from '../base/digest.ts';
import { asKilnError, type Range } from '../base/errors.ts';
import { formatPlatform, type Platform } from '../base/platform.ts';
import { BuildInputs, type Entrypoint } from '../frontend/dockerfile/to-llb/plan/build-inputs.ts';
import type { ImageResolver } from '../frontend/dockerfile/to-llb/plan/image-resolver.ts';
import type { RequestOptions } from '../frontend/dockerfile/to-llb/plan/request-options.ts';
import { baseImage, emptyImage } from '../frontend/dockerfile/to-llb/values/image-draft.ts';
import { inputTree } from '../frontend/dockerfile/to-llb/values/input-tree.ts';
import type { Bridge, BridgeSolve, FrontendRequest, WorkerInfo } from '../frontend/frontend.ts';
import { image, type SourceLocation, type State, scratch, toGraph } from '../llb/llb.ts';
import { formatReference, parseReference, withDefaultTag, withDigest } from '../oci/reference.ts';
import { type BaseImage, baseOf } from './base-image.ts';
import { BuildFile } from './build-file.ts';
import { CalledFrontend } from './build-result.ts';
import { SolvedTree } from './solved-tree.ts';

export interface FrontendBuildParts {
  readonly bridge: Bridge;
  readonly request: FrontendRequest;
  readonly options: RequestOptions;
  readonly images: ImageResolver;
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  /** The file to build from, where the client's directory is not where it comes from. */
  readonly file: BuildFile | undefined;
  readonly signal: AbortSignal;
}

export interface WarningOptions {
  readonly detail?: readonly string[];
  readonly url?: string;
  /** What the warning is about: `file.at(line)`. */
  readonly at?: SourceLocation;
}

/** What a client asks for one platform, and what can be asked of the engine for that. */
export class FrontendBuild {
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  /** What the result is for. */
  readonly platform: Platform;
  /** The machine that runs the steps. */
  readonly buildPlatform: Platform;
  /** Empty if the client names none. */
  readonly target: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: Readonly<Record<string, string>>;
  /** All that the client said, in the words of the gateway's options: `build-arg:NAME`, `label:NAME`, `target`, … */
  readonly options: Readonly<Record<string, string>>;
  /** `SOURCE_DATE_EPOCH`, in seconds since 1970. */
  readonly epoch: number | undefined;
  readonly #parts: FrontendBuildParts;
  readonly #inputs: BuildInputs;
  #file: Promise<BuildFile> | undefined;

  constructor(parts: FrontendBuildParts) {
    const { bridge, request, options, images, signal } = parts;
    this.#parts = parts;
    this.signal = signal;
    this.platform = parts.platform;
    this.buildPlatform = parts.buildPlatform;
    this.target = options.target;
    this.buildArgs = options.buildArgs;
    this.labels = options.labels;
    this.options = request.options;
    const epoch = options.buildArgs.get('SOURCE_DATE_EPOCH') ?? '';
    this.epoch = /^\d{1,15}$/.test(epoch) ? Number(epoch) : undefined;
    this.#inputs = new BuildInputs(bridge, request, options, images, signal);
  }

  get workers(): readonly WorkerInfo[] {
    return this.#parts.bridge.workers;
  }

  /** Whether the client wants the steps of this stage (of any, without a name) to run again, whatever is cached. */
  ignoresCache(stage?: string): boolean {
    const { noCache } = this.#parts.options;
    return noCache === 'all' || (stage !== undefined && noCache.has(stage.toLowerCase()));
  }

  /** The file that says what to build. Throws `not_found`. */
  async file(): Promise<BuildFile> {
    this.#file ??= this.#parts.file ? Promise.resolve(this.#parts.file) : this.#readFile();
    return await this.#file;
  }

  async #readFile(): Promise<BuildFile> {
    const { source, vertex }: Entrypoint = await this.#inputs.readEntrypoint();
    return new BuildFile({ ...source, language: '' }, vertex);
  }

  /** The build context. Of a client's directory only `paths` (all of it if there are none), without what its ignore file names. */
  async context(paths: readonly string[] = []): Promise<State> {
    return await this.#inputs.mainContext(paths);
  }

  /** A tree that the client gave under this name (`--build-context NAME=…`), or a definition that it sent along. Undefined where there is none. */
  async namedContext(name: string, paths: readonly string[] = []): Promise<State | undefined> {
    const input = this.#parts.request.inputs.get(name);
    if (input) return inputTree(input);
    return (await this.#inputs.namedContexts.find(name, this.platform, () => paths))?.tree;
  }

  /**
   * An image to build on, pinned by its digest: one in a registry, what the client gave in its place with `--build-context`, or `scratch`.
   * Only its config is read. Throws `not_found`.
   */
  async image(
    name: string,
    options: { readonly platform?: Platform; readonly at?: SourceLocation } = {},
  ): Promise<BaseImage> {
    const { platform = this.platform, at } = options;
    const { images, options: request } = this.#parts;
    if (name === 'scratch')
      return baseOf(scratch().platform(platform), { ...emptyImage(platform), config: {} }, undefined);
    const reference = formatReference(withDefaultTag(parseReference(name)));
    const named = await this.#inputs.namedContexts.find(reference, platform, () => []);
    if (named) {
      const draft = named.image ?? { ...emptyImage(platform), config: {} };
      return baseOf(named.tree.platform(platform), draft, named.config);
    }
    const prefix = request.multiPlatform ? `[${formatPlatform(platform)} internal]` : '[internal]';
    const { resolveMode } = request;
    const logName = `${prefix} load metadata for ${reference}`;
    const resolved = await images
      .resolve(reference, { platform, resolveMode, logName })
      .catch((error: unknown) => {
        throw asKilnError(error).wrap(name);
      });
    const draft = baseImage(resolved.config, reference, platform);
    const pinned = formatReference(withDigest(parseReference(resolved.ref), resolved.digest));
    const hasLayers = draft.diffIds.length > 0 || draft.history.some(({ empty_layer }) => !empty_layer);
    const tree = hasLayers
      ? image(pinned, { platform, resolveMode, name: `FROM ${pinned}`, locations: at && [at] })
      : scratch().platform(platform);
    return baseOf(tree, draft, resolved.config);
  }

  /** The files of a state, to be read. */
  async solve(state: State): Promise<SolvedTree> {
    const { bridge, signal } = this.#parts;
    const { refs } = await bridge.solve({ graph: toGraph(state, { platform: this.platform }) });
    return new SolvedTree(refs.get(''), signal);
  }

  /** Has another frontend, `dockerfile.v0` or `gateway.v0`, make the result for the platform from these options. */
  async call(
    name: string,
    { options, inputs }: Pick<BridgeSolve, 'options' | 'inputs'>,
  ): Promise<CalledFrontend> {
    const platform = formatPlatform(this.platform);
    const request = { frontend: name, options: { platform, ...options }, inputs };
    return new CalledFrontend(name, await this.#parts.bridge.solve(request));
  }

  /** Tells the client. */
  warn(message: string, { detail, url, at }: WarningOptions = {}): void {
    const { bridge } = this.#parts;
    const warn = (file: BuildFile | undefined) =>
      bridge.warn(file?.vertex ?? digestOf(''), {
        level: 1,
        short: message,
        detail: [...(detail ?? [])],
        ...(url !== undefined && { url }),
        ...(at && { source: at.file, ranges: at.ranges as Range[] }),
      });
    // A warning belongs to a vertex: that which loaded the file, if it is there.
    void this.#file?.then(warn, () => warn(undefined));
    if (!this.#file) warn(undefined);
  }
}
