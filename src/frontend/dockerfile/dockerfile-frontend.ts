import { mapLimit } from '../../base/async/lifetime.ts';
import { asKilnError } from '../../base/errors.ts';
import { formatPlatform, hostPlatform, type Platform } from '../../base/platform.ts';
import { toGraph } from '../../llb/llb.ts';
import type { Bridge, Frontend, FrontendRequest, FrontendResult, SolvedRef } from '../frontend.ts';
import { collectPlatforms } from '../platform-results.ts';
import type { ResultAttestation } from '../result-attestation.ts';
import { SbomScanner, sbomAttestation } from '../sbom-scanner.ts';
import { unsupportedCapability } from '../unsupported-capability.ts';
import { standsInFor } from './built-in-syntax.ts';
import { atSource, linesOf } from './dockerfile-error.ts';
import { dockerfileFrontend, gatewayFrontend } from './frontend-name.ts';
import type { LintFinding } from './lint/linter.ts';
import { parseChecked } from './lint/parse-checked.ts';
import { detectSyntax } from './parse/detect-syntax.ts';
import type { Dockerfile } from './parse/instruction-tree.ts';
import { answerSubrequest, type ConversionOf } from './subrequest/answer-subrequest.ts';
import { type Conversion, type ConversionRequest, convertDockerfile } from './to-llb/convert-dockerfile.ts';
import { BuildInputs, type Entrypoint } from './to-llb/plan/build-inputs.ts';
import { ImageResolver } from './to-llb/plan/image-resolver.ts';
import { parseRequestOptions, type RequestOptions } from './to-llb/plan/request-options.ts';
import { writeImage } from './to-llb/values/image-draft.ts';

/** The frontend that builds Dockerfiles, in the calling thread. */
export function createDockerfileFrontend(): Frontend {
  return {
    name: dockerfileFrontend,
    solve: (bridge, request, signal) => new DockerfileBuild(bridge, request, signal).solve(),
  };
}

/** One request. */
class DockerfileBuild {
  readonly #bridge: Bridge;
  readonly #request: FrontendRequest;
  readonly #signal: AbortSignal;
  readonly #options: RequestOptions;
  readonly #images: ImageResolver;
  readonly #inputs: BuildInputs;

  constructor(bridge: Bridge, request: FrontendRequest, signal: AbortSignal) {
    this.#bridge = bridge;
    this.#request = request;
    this.#signal = signal;
    this.#options = parseRequestOptions(request.options);
    this.#images = new ImageResolver(bridge);
    this.#inputs = new BuildInputs(bridge, request, this.#options, this.#images, signal);
  }

  async solve(): Promise<FrontendResult> {
    const { platforms, multiPlatform, subrequest, missingCapability } = this.#options;
    if (missingCapability?.isForwardable === false) throw unsupportedCapability(missingCapability.id);
    const entrypoint = await this.#inputs.readEntrypoint();
    const other = this.#otherFrontend(entrypoint);
    if (other) return this.#forward(entrypoint, other);
    if (missingCapability) throw unsupportedCapability(missingCapability.id);
    const warn = (finding: LintFinding) => this.#warn(entrypoint, finding);
    if (subrequest !== undefined) {
      const conversionOf: ConversionOf = (dockerfile, onFinding) =>
        this.#conversion(dockerfile, platforms[0], onFinding);
      return answerSubrequest(subrequest, entrypoint.source, this.#options.lint, conversionOf, warn);
    }
    const dockerfile = parseChecked(entrypoint.source, this.#options.lint, warn);
    const scanner = await this.#scanner();
    const targets = platforms.length > 0 ? platforms : [undefined];
    const results = await mapLimit(
      targets,
      targets.length,
      async (target, index) => {
        const conversion = await convertDockerfile(
          // The same is wrong with the file for every platform: the client hears it once.
          this.#conversion(dockerfile, target, index === 0 ? warn : () => {}),
        );
        const { graph } = conversion;
        const { cacheImports } = this.#options;
        const { refs } = await this.#bridge.solve({ graph, cacheImports });
        const platform = target ?? this.#buildPlatform;
        const sbom = scanner && (await this.#scan(scanner, formatPlatform(platform), conversion));
        return {
          platform,
          exactPlatform: withWindowsVersion(platform, conversion.image.platform),
          ref: refs.get(''),
          config: writeImage(conversion.image),
          baseConfig: conversion.baseConfig,
          epoch: conversion.epoch,
          ...(sbom && { attestations: [sbom] }),
        };
      },
      this.#signal,
    );
    return collectPlatforms(results, multiPlatform);
  }

  /** The scanner runs on the machine, whichever platforms the results are for. */
  async #scanner(): Promise<SbomScanner | undefined> {
    const { sbom, resolveMode } = this.#options;
    const platform = this.#buildPlatform;
    return sbom && (await SbomScanner.open(sbom, this.#bridge, { platform, resolveMode }));
  }

  async #scan(
    scanner: SbomScanner,
    name: string,
    { scanTargets, graphOptions }: Conversion,
  ): Promise<ResultAttestation<SolvedRef>> {
    const { refs } = await this.#bridge.solve({
      graph: toGraph(scanner.scan(name, scanTargets), graphOptions),
    });
    return sbomAttestation(refs.get(''));
  }

  /** The platform of the machine that runs the steps. */
  get #buildPlatform(): Platform {
    return this.#bridge.workers[0]?.platforms[0] ?? hostPlatform();
  }

  #conversion(
    dockerfile: Dockerfile,
    targetPlatform: Platform | undefined,
    onFinding: (finding: LintFinding) => void,
  ): ConversionRequest {
    return {
      dockerfile,
      options: this.#options,
      inputs: this.#inputs,
      images: this.#images,
      bridge: this.#bridge,
      buildPlatform: this.#buildPlatform,
      targetPlatform,
      onFinding,
      signal: this.#signal,
    };
  }

  /** The image of another frontend that the file or the client asks for. */
  #otherFrontend({ source }: Entrypoint): OtherFrontend | undefined {
    if (this.#options.forwarded) return undefined;
    const { syntax } = this.#options;
    const detected =
      syntax === undefined ? detectSyntax(Buffer.from(source.data).toString('utf8')) : undefined;
    const cmdline = syntax ?? detected?.value;
    const image = cmdline?.trim().split(' ')[0];
    if (cmdline === undefined || !image || standsInFor(image, this.#request)) return undefined;
    return { image, cmdline, line: detected?.line };
  }

  async #forward({ source }: Entrypoint, { image, cmdline, line }: OtherFrontend): Promise<FrontendResult> {
    try {
      return await this.#bridge.solve({
        frontend: gatewayFrontend,
        options: { ...this.#request.options, source: image, cmdline },
        inputs: this.#request.inputs,
      });
    } catch (error) {
      if (line === undefined) {
        throw asKilnError(error).wrap(`failed with build-arg:BUILDKIT_SYNTAX = ${cmdline}`);
      }
      const place = { line, character: 0 };
      throw atSource(error, source, [{ start: place, end: place }]);
    }
  }

  #warn({ source, vertex }: Entrypoint, { rule, message, range }: LintFinding): void {
    this.#bridge.warn(vertex, {
      level: 1,
      short: `${rule.name}: ${message} (line ${range.start.line})`,
      detail: [rule.description],
      ...(rule.url !== undefined && { url: rule.url }),
      source,
      ranges: linesOf(range),
    });
  }
}

/** `line` is where the file asks for it; undefined when the client does. */
interface OtherFrontend {
  readonly image: string;
  readonly cmdline: string;
  readonly line: number | undefined;
}

/** A Windows image runs on one version of Windows: that of the base image, where the client names none. */
function withWindowsVersion(platform: Platform, image: Platform): Platform {
  if (platform.os !== 'windows' || image.os !== 'windows') return platform;
  return {
    ...platform,
    osVersion: platform.osVersion ?? image.osVersion,
    osFeatures: platform.osFeatures ?? image.osFeatures,
  };
}
