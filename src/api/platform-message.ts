import type { MessageInitShape } from '@bufbuild/protobuf';
import { normalizePlatform, type Platform } from '../base/platform.ts';
import type { Platform as PlatformMessage, PlatformSchema } from './gen/ops_pb.js';

/** Normalized. */
export function platformFromMessage(message: PlatformMessage): Platform {
  const { os, architecture, variant, osVersion, osFeatures } = message;
  return normalizePlatform({ os, architecture, variant, osVersion, osFeatures });
}

export function platformToMessage(platform: Platform): MessageInitShape<typeof PlatformSchema> {
  return { ...platform, osFeatures: [...(platform.osFeatures ?? [])] };
}
