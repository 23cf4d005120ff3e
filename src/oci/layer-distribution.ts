import type { Descriptor } from './descriptor.ts';
import { withDistributable } from './media-type.ts';

/**
 * A layer as an image lists it. One whose publisher says where to get it is left there if that is preferred, and never pushed; else it is
 * like any other layer, and nothing says where it came from.
 */
export function withDistribution(layer: Descriptor, preferNondistributable: boolean): Descriptor {
  const stays = preferNondistributable && (layer.urls?.length ?? 0) > 0;
  const { urls, ...rest } = layer;
  return { ...rest, mediaType: withDistributable(layer.mediaType, !stays), ...(stays ? { urls } : {}) };
}
