import { KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { image, type MountSpec, type State, scratch } from '../llb/llb.ts';
import { parseImageConfig } from '../oci/image-config.ts';
import { spdxPredicateType } from '../oci/in-toto.ts';
import type { Bridge, ResolveImageOptions, SolvedRef } from './frontend.ts';
import type { ResultAttestation } from './result-attestation.ts';
import type { SbomRequest } from './sbom-request.ts';

/** What is scanned: BuildKit's scanner protocol (docs/attestations/sbom-protocol.md). */
export interface ScanTargets {
  /** The result itself. */
  readonly core: State;
  /** Trees that it was made with, by names of their own. */
  readonly extras: ReadonlyMap<string, State>;
  /** Whether to scan again whatever is cached. */
  readonly ignoreCache: boolean;
}

/** Where the scanner finds and leaves things. */
const places = { sources: '/run/src', destination: '/run/out' } as const;

/** The name of the result's own SBOM; those of other trees have it before their names. */
const coreName = 'sbom';

/** A scanner image that makes SBOMs. */
export class SbomScanner {
  readonly #request: SbomRequest;
  readonly #platform: Platform;
  readonly #args: readonly string[];
  readonly #env: readonly string[];
  readonly #directory: string;

  private constructor(request: SbomRequest, platform: Platform, config: Uint8Array) {
    const {
      Entrypoint = [],
      Cmd = [],
      Env = [],
      WorkingDir,
    } = parseImageConfig(config, `image config of ${request.generator}`).config;
    this.#request = request;
    this.#platform = platform;
    this.#args = [...Entrypoint, ...Cmd];
    this.#env = Env;
    this.#directory = WorkingDir || '/';
    if (this.#args.length > 0) return;
    throw new KilnError('invalid_argument', `scanner ${request.generator} does not have cmd`, {
      hint: 'its image needs an ENTRYPOINT or a CMD',
    });
  }

  /** Looks the image up. It runs on `platform`. Throws `invalid_argument` for an image that says nothing of what to run. */
  static async open(
    request: SbomRequest,
    bridge: Pick<Bridge, 'resolveImageConfig'>,
    options: Pick<ResolveImageOptions, 'platform' | 'resolveMode'>,
  ): Promise<SbomScanner> {
    const { ref, config } = await bridge.resolveImageConfig(request.generator, options);
    return new SbomScanner({ ...request, generator: ref }, options.platform, config);
  }

  /** The tree that the scanner leaves: a bundle of SBOMs. Progress calls the scan by the name of the platform. */
  scan(name: string, { core, extras, ignoreCache }: ScanTargets): State {
    const { generator, parameters } = this.#request;
    const coreMount = `${places.sources}/core/${coreName}`;
    const extraMounts = `${places.sources}/extras`;
    const env = [
      ...this.#env.map(pairOf),
      ['BUILDKIT_SCAN_DESTINATION', `${places.destination}/`],
      ['BUILDKIT_SCAN_SOURCE', coreMount],
      ...(extras.size > 0 ? [['BUILDKIT_SCAN_SOURCE_EXTRAS', extraMounts]] : []),
      ...[...parameters].map(([key, value]) => [`BUILDKIT_SCAN_${key}`, value]),
    ] as readonly (readonly [string, string])[];
    const mounts: readonly MountSpec[] = [
      { dest: '/tmp', type: { kind: 'tmpfs', size: 0 } },
      { dest: coreMount, from: core, readonly: true },
      ...[...extras].map(([extra, from]) => ({
        dest: `${extraMounts}/${coreName}-${extra}`,
        from,
        readonly: true,
      })),
      { dest: places.destination, from: scratch() },
    ];
    return image(generator, { platform: this.#platform })
      .platform(this.#platform)
      .dir(this.#directory)
      .envs(env)
      .run(this.#args, {
        name: `[${name}] generating sbom using ${generator}`,
        mounts,
        ignoreCache,
      })
      .mount(places.destination);
  }
}

/** What a scanner left, as an attestation of the result. */
export function sbomAttestation(tree: SolvedRef | undefined): ResultAttestation<SolvedRef> {
  return {
    kind: 'bundle',
    metadata: new Map([
      ['reason', Buffer.from('sbom')],
      ['sbom-core', Buffer.from(coreName)],
    ]),
    tree,
    path: '',
    predicateType: spdxPredicateType,
    subjects: [],
  };
}

function pairOf(entry: string): readonly [string, string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}
