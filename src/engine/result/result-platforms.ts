import { KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { FrontendResult, SolvedRef } from '../../frontend/frontend.ts';
import type { ResultAttestation } from '../../frontend/result-attestation.ts';
import { type PlatformJson, platformFromJson } from '../../oci/platform-json.ts';

/** One tree of a build's result. `key` is the platform's id among several, empty for the only one. */
export interface PlatformRef {
  readonly key: string;
  readonly platform: Platform;
  readonly ref: SolvedRef | undefined;
  /** The image config (JSON), if the frontend made one. */
  readonly config: Uint8Array | undefined;
  /** The name that its metadata and attestations go by, also that of the only one. */
  readonly id: string;
  readonly attestations: readonly ResultAttestation<SolvedRef>[];
}

const platformsKey = 'refs.platforms';
const configKey = 'containerimage.config';

/**
 * The trees of a result in the order of its platforms. One that says nothing of platforms is for the one in its image config,
 * or else for `fallback`. Throws `invalid_argument` for a result that contradicts itself.
 */
export function resultPlatforms(
  { refs, metadata, attestations }: FrontendResult,
  fallback: Platform,
): readonly PlatformRef[] {
  const isSingle = refs.size === 1 && refs.has('');
  const declared = metadata.get(platformsKey);
  const attested = (id: string) => attestations?.get(id) ?? [];
  const configOf = (id: string) => metadata.get(`${configKey}/${id}`) ?? metadata.get(configKey);
  if (!declared) {
    if (refs.size === 0) return [];
    if (!isSingle) throw invalid('build result contains multiple refs without platforms mapping');
    const config = metadata.get(configKey);
    const platform = configPlatform(config) ?? fallback;
    const id = formatPlatform(platform);
    return [{ key: '', platform, ref: refs.get(''), config, id, attestations: attested(id) }];
  }
  const platforms = parsePlatforms(declared);
  if (isSingle) {
    const [{ id, platform }, ...others] = platforms;
    if (others.length > 0) throw invalid('unable to export multiple platforms without map');
    return [{ key: '', platform, ref: refs.get(''), config: configOf(id), id, attestations: attested(id) }];
  }
  return platforms.map(({ id, platform }) => {
    if (!refs.has(id)) throw invalid(`failed to find ref for ID ${id}`);
    return { key: id, platform, ref: refs.get(id), config: configOf(id), id, attestations: attested(id) };
  });
}

interface DeclaredPlatform {
  readonly id: string;
  readonly platform: Platform;
}

function parsePlatforms(bytes: Uint8Array): readonly [DeclaredPlatform, ...DeclaredPlatform[]] {
  const { Platforms } = (parseJson(bytes, platformsKey) ?? {}) as {
    readonly Platforms?: readonly { readonly ID?: unknown; readonly Platform?: unknown }[] | null;
  };
  const [first, ...others] = (Platforms ?? []).map(({ ID, Platform: json }) => {
    if (typeof ID !== 'string' || ID === '') throw invalid('invalid empty platform key for exporter');
    const platform = platformFromJson(json);
    if (!platform) throw invalid(`invalid platform value ${JSON.stringify(json)} for exporter`);
    return { id: ID, platform };
  });
  if (!first) throw invalid('invalid empty platforms index for exporter');
  return [first, ...others];
}

/** What an image config says it is for; undefined when it does not. */
function configPlatform(config: Uint8Array | undefined): Platform | undefined {
  if (!config?.length) return undefined;
  const json = (parseJson(config, configKey) ?? {}) as Partial<PlatformJson>;
  if (Boolean(json.os) !== Boolean(json.architecture)) {
    throw invalid('invalid image config: os and architecture must be specified together');
  }
  return platformFromJson(json);
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid(`${what} of the result is not JSON: ${(cause as Error).message}`, cause);
  }
}

function invalid(message: string, cause?: unknown): KilnError {
  return new KilnError('invalid_argument', message, { cause });
}

/**
 * In which way a result is not for the platforms that its client asked for; undefined when it is, or has no files to tell by.
 * A result that names a version of its operating system serves a client that asked for none.
 */
export function platformMismatch(
  requested: readonly Platform[],
  results: readonly PlatformRef[],
): string | undefined {
  if (results.every(({ ref }) => ref === undefined)) return undefined;
  const wanted = requested.map(formatPlatform);
  const duplicate = wanted.find((name, index) => wanted.indexOf(name) !== index);
  if (duplicate !== undefined) return `Duplicate platform result requested ${JSON.stringify(duplicate)}`;
  const found = results.map(({ platform }) => formatPlatform(platform));
  if (wanted.length === 1 && found.length === 1) {
    const plain = requested[0]!.osVersion ? found[0] : formatPlatform(withoutVersion(results[0]!.platform));
    if (wanted[0] === found[0] || wanted[0] === plain) return undefined;
    return `Requested platform ${JSON.stringify(wanted[0])} does not match result platform ${JSON.stringify(found[0])}`;
  }
  if (wanted.length > 1 && results[0]!.key === '') {
    return 'Multiple platforms requested but result is not multi-platform';
  }
  if (wanted.length === found.length && found.every((name) => wanted.includes(name))) return undefined;
  return `Requested platforms ${wanted.join(',')} do not match result platforms ${found.join(',')}`;
}

function withoutVersion({ osVersion: _, ...platform }: Platform): Platform {
  return platform;
}
