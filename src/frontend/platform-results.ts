import { formatPlatform, type Platform } from '../base/platform.ts';
import { platformToJson } from '../oci/platform-json.ts';
import type { FrontendResult, SolvedRef } from './frontend.ts';
import type { ResultAttestation } from './result-attestation.ts';

/** What a build gives for one platform. */
export interface PlatformResult {
  readonly platform: Platform;
  /** The platform as the result says it, if that says more. */
  readonly exactPlatform?: Platform;
  readonly ref: SolvedRef | undefined;
  /** The config of the image, as JSON; undefined for files that are no image. */
  readonly config: Uint8Array | undefined;
  readonly baseConfig?: Uint8Array;
  /** In seconds since 1970. */
  readonly epoch?: number;
  readonly attestations?: readonly ResultAttestation<SolvedRef>[];
}

/** The results for all platforms as one. `multiPlatform`: keys have the platform's name, even of a single one. */
export function collectPlatforms(results: readonly PlatformResult[], multiPlatform: boolean): FrontendResult {
  const refs = new Map<string, SolvedRef | undefined>();
  const metadata = new Map<string, Uint8Array>();
  const all = new Map<string, readonly ResultAttestation<SolvedRef>[]>();
  for (const { platform, ref, config, baseConfig, epoch, attestations } of results) {
    const id = formatPlatform(platform);
    if (attestations) all.set(id, attestations);
    const suffix = multiPlatform ? `/${id}` : '';
    refs.set(multiPlatform ? id : '', ref);
    if (config) metadata.set(`containerimage.config${suffix}`, config);
    if (baseConfig) metadata.set(`containerimage.base.config${suffix}`, baseConfig);
    if (epoch !== undefined) metadata.set(`source.date.epoch${suffix}`, Buffer.from(String(epoch)));
  }
  const platforms = results.map(({ platform, exactPlatform = platform }) => ({
    ID: formatPlatform(platform),
    Platform: platformToJson(exactPlatform),
  }));
  metadata.set('refs.platforms', Buffer.from(JSON.stringify({ Platforms: platforms })));
  return { refs, metadata, attestations: all };
}
