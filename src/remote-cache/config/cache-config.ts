import type { Digest } from '../../base/digest.ts';

/**
 * The config of a cache in BuildKit's format, version 0: keys with their results, and the layers that results are made of. As JSON it is
 * a blob that a manifest names, a document of its own (then its layers have annotations), or, as records only, a field of an image's config.
 */
export const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0';

/** The field of an image's config that holds the records of an inline cache, in base64. Their layers are those of the image. */
export const inlineCacheField = 'moby.buildkit.cache.v0';

export interface CacheConfig {
  readonly layers: readonly ConfigLayer[];
  readonly records: readonly ConfigRecord[];
}

/** A layer on top of another one. */
export interface ConfigLayer {
  readonly blob: Digest;
  /** Position of the layer below. */
  readonly parent: number | undefined;
  /** What a manifest would say of the blob; missing where there is a manifest. */
  readonly annotations?: LayerAnnotations;
}

export interface LayerAnnotations {
  readonly mediaType: string;
  readonly diffId: Digest;
  /** Bytes. */
  readonly size: number;
  readonly createdAt?: Date;
}

/** A key, how other keys lead to it, and what is known by it. */
export interface ConfigRecord {
  /** `recordDigest` of the solver's `cache-key.ts`. */
  readonly digest: Digest;
  /** For each input of the operation: the keys that may stand for it, at least one. */
  readonly inputs: readonly (readonly ConfigLink[])[];
  readonly results: readonly ConfigResult[];
}

export interface ConfigLink {
  /** Empty for none. */
  readonly selector: string;
  /** Position of the record that it leads from. */
  readonly record: number;
}

export interface ConfigResult {
  readonly layers: ResultLayers;
  readonly createdAt: Date;
}

export type ResultLayers =
  /** A layer and all that is below it. */
  | { readonly kind: 'chain'; readonly top: number }
  /** Exactly these layers, bottom first. */
  | { readonly kind: 'list'; readonly layers: readonly number[] };

/** What a result is made of, bottom first. `config` is what `parseCacheConfig` gave: chains in it end. */
export function layersOfResult({ layers }: ConfigResult, config: CacheConfig): readonly number[] {
  if (layers.kind === 'list') return layers.layers;
  const chain: number[] = [];
  for (let at: number | undefined = layers.top; at !== undefined; at = config.layers[at]!.parent)
    chain.push(at);
  return chain.reverse();
}
