import { normalizePlatform, type Platform } from '../base/platform.ts';

/** A platform as OCI documents spell it. */
export interface PlatformJson {
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
  readonly variant?: string;
}

/** In the order in which Go writes the fields. */
export function platformToJson(platform: Platform): PlatformJson {
  const { os, architecture, variant, osVersion, osFeatures } = normalizePlatform(platform);
  return {
    architecture,
    os,
    'os.version': osVersion,
    'os.features': osFeatures,
    variant,
  };
}

/** Undefined when operating system or architecture is missing. */
export function platformFromJson(value: unknown): Platform | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const json = value as Partial<PlatformJson>;
  if (typeof json.os !== 'string' || typeof json.architecture !== 'string') return undefined;
  if (json.os === '' || json.architecture === '') return undefined;
  return normalizePlatform({
    os: json.os,
    architecture: json.architecture,
    variant: typeof json.variant === 'string' ? json.variant : undefined,
    osVersion: typeof json['os.version'] === 'string' ? json['os.version'] : undefined,
    osFeatures: Array.isArray(json['os.features'])
      ? json['os.features'].filter((feature) => typeof feature === 'string')
      : undefined,
  });
}
