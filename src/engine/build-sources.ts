import { isDeepStrictEqual } from 'node:util';
import type { Digest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { canonicalDigest } from '../base/text/canonical.ts';
import type { OpGraph } from '../llb/graph.ts';
import type { SourceOp } from '../llb/op.ts';
import { replaceSources } from '../llb/replace-sources.ts';
import type {
  AttestationChain,
  AttestationQuestion,
  ChecksumQuestion,
  GitMetadata,
  HttpMetadata,
} from '../llb/source-metadata.ts';
import { withSource } from '../llb/with-source.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import type { Job } from '../solver/solver.ts';
import { parseResolveMode } from '../source/image/image-source.ts';
import type { ImageMetadataOptions, ImageResolver, SourceContext } from '../source/source.ts';
import type { EngineServices } from './engine-services.ts';
import { type JobContext, sourceContext } from './job-context.ts';
import { schemeOf } from './operations/source-operation.ts';
import type { SourceGuard } from './source-policy/source-guard.ts';

export interface BuildSourcesOptions {
  readonly services: Pick<EngineServices, 'images' | 'layouts' | 'downloads' | 'repositories' | 'platform'>;
  readonly job: Job<ImmutableRef, JobContext>;
  readonly guard: SourceGuard;
  readonly signal: AbortSignal;
}

export interface ResolveSourceOptions extends Pick<ImageMetadataOptions, 'platform' | 'resolveMode'> {
  /** The name of the vertex that shows it. */
  readonly logName?: string;
  /** Asks for this checksum of a file, besides its digest. */
  readonly checksum?: ChecksumQuestion;
  /** Asks for the objects of a commit and its tag, besides their names. */
  readonly gitObjects?: boolean;
  /** Asks for what is attested of an image, besides its config. */
  readonly attestations?: AttestationQuestion;
}

export interface ResolvedSource {
  /** The source that the policies put in the place of the one that was asked about. */
  readonly source: SourceOp;
  /** For a source that is an image. */
  readonly image?: {
    readonly digest: Digest;
    readonly config: Uint8Array;
    /** The answer to a question about it; undefined also for an image of which nothing is attested. */
    readonly attestations?: AttestationChain;
  };
  /** For a source that is a file. */
  readonly http?: HttpMetadata;
  /** For a source that is a commit. */
  readonly git?: GitMetadata;
}

type Known = Pick<ResolvedSource, 'image' | 'http' | 'git'>;

/** The sources of one build. Nothing of a source is looked at unless the build's policies allow it. */
export class BuildSources {
  readonly #services: BuildSourcesOptions['services'];
  readonly #job: Job<ImmutableRef, JobContext>;
  readonly #guard: SourceGuard;
  readonly #signal: AbortSignal;

  constructor({ services, job, guard, signal }: BuildSourcesOptions) {
    this.#services = services;
    this.#job = job;
    this.#guard = guard;
    this.#signal = signal;
  }

  /** Throws `permission_denied` when the policies do not allow the source. */
  async resolve(source: SourceOp, options: ResolveSourceOptions): Promise<ResolvedSource> {
    const admitted = await this.#admit(source, options.platform);
    return { source: admitted, ...(await this.#find(admitted, options)) };
  }

  /** The graph with what the policies make of its sources. Throws `permission_denied` with the place in the source. */
  async admitted(graph: OpGraph): Promise<OpGraph> {
    if (this.#guard.idle) return graph;
    const replacements = new Map<Digest, SourceOp>();
    const check = async (digest: Digest, source: SourceOp, platform: Platform | undefined) => {
      try {
        const admitted = await this.#admit(source, platform);
        if (!isDeepStrictEqual(admitted, source)) replacements.set(digest, admitted);
      } catch (error) {
        throw withSource(asKilnError(error).withDetail({ kind: 'vertex', digest }), graph);
      }
    };
    await Promise.all(
      [...graph.vertices.values()].map(async ({ digest, op }) => {
        if (op.action.kind !== 'source') return;
        const { identifier, attrs } = op.action;
        await check(digest, { identifier, attrs }, op.platform);
      }),
    );
    return await replaceSources(graph, replacements);
  }

  #admit(source: SourceOp, platform: Platform | undefined): Promise<SourceOp> {
    return this.#guard.admit(
      source,
      platform,
      async (
        admitted,
        { platform: wanted, resolveMode, logName, noConfig, checksum, gitObjects, attestations },
      ) => {
        const { image, ...found } = await this.#find(admitted, {
          platform: wanted ?? platform ?? this.#services.platform,
          resolveMode: parseResolveMode(resolveMode),
          logName,
          checksum,
          gitObjects,
          attestations,
        });
        return { ...found, image: image && noConfig ? { ...image, config: new Uint8Array() } : image };
      },
      this.#signal,
    );
  }

  async #find(source: SourceOp, options: ResolveSourceOptions): Promise<Known> {
    const { images, layouts, downloads, repositories } = this.#services;
    const name = nameOf(source);
    switch (schemeOf(source)) {
      case 'docker-image':
        return { image: await this.#resolveImage(images, name, options) };
      case 'oci-layout':
        return {
          image: await this.#resolveImage(layouts, name, { ...options, ociLayout: layoutOf(source) }),
        };
      case 'http':
      case 'https': {
        const shown = options.logName ?? `resolve ${source.identifier}`;
        const resolve = (context: SourceContext) => downloads.resolveFile(source, options.checksum, context);
        return { http: await this.#inProgress(shown, source.identifier, resolve) };
      }
      case 'git': {
        const shown = options.logName ?? `resolve ${source.identifier}`;
        const wanted = { withObjects: options.gitObjects ?? false };
        const resolve = (context: SourceContext) => repositories.resolveCommit(source, wanted, context);
        return { git: await this.#inProgress(shown, source.identifier, resolve) };
      }
      default:
        return {};
    }
  }

  async #resolveImage(
    resolver: ImageResolver,
    ref: string,
    options: ResolveSourceOptions & ImageMetadataOptions,
  ): Promise<Known['image']> {
    const shown = options.logName ?? `resolve image config for ${ref}`;
    const question = options.attestations;
    return await this.#inProgress(shown, ref, async (context) => {
      const { digest, config } = await resolver.resolveConfig(ref, options, context);
      const attestations = question && (await resolver.resolveAttestations(ref, question, options, context));
      if (attestations && attestations.root !== digest) {
        throw new KilnError(
          'aborted',
          `attestation chain root digest ${attestations.root} does not match image digest ${digest}`,
        );
      }
      return { digest, config, attestations };
    });
  }

  #inProgress<T>(name: string, about: string, work: (context: SourceContext) => Promise<T>): Promise<T> {
    const vertex = { digest: canonicalDigest('resolve', [about, name]), name };
    return this.#job.inProgress(vertex, (context) => work(sourceContext(context)));
  }
}

/** An identifier without its scheme. */
export function nameOf({ identifier }: SourceOp): string {
  return identifier.slice(identifier.indexOf('://') + '://'.length);
}

function layoutOf(source: SourceOp): ImageMetadataOptions['ociLayout'] {
  return { sessionId: source.attrs['oci.session'] ?? '', storeId: source.attrs['oci.store'] ?? '' };
}
