import { digestOf } from '../base/digest.ts';
import type { Descriptor } from './descriptor.ts';

/** A document of an image, with its bytes. */
export interface ImageDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

export function documentOf(
  mediaType: string,
  bytes: Uint8Array,
  extra: Partial<Descriptor> = {},
): ImageDocument {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length, ...extra }, bytes };
}
