import { formatTime } from '../../base/format-time.ts';
import { goJson } from '../../base/json/go-json.ts';
import type { CacheConfig, ConfigLayer, ConfigRecord, ConfigResult } from './cache-config.ts';

/** A time that is not known, as Go writes it. */
const noTime = '0001-01-01T00:00:00Z';

/** The bytes of a config, fields as BuildKit writes them. */
export function encodeCacheConfig({ layers, records }: CacheConfig): Uint8Array {
  return Buffer.from(
    goJson({
      layers: nonEmpty(layers.map(layerToJson)),
      records: nonEmpty(records.map(recordToJson)),
    }),
  );
}

/** The bytes of records whose layers are those of an image. */
export function encodeInlineRecords(records: readonly ConfigRecord[]): Uint8Array {
  return Buffer.from(goJson(records.map(recordToJson)));
}

function layerToJson({ blob, parent = -1, annotations }: ConfigLayer) {
  return {
    blob,
    parent: parent === 0 ? undefined : parent,
    annotations: annotations && {
      mediaType: annotations.mediaType || undefined,
      diffID: annotations.diffId,
      size: annotations.size || undefined,
      createdAt: timeToJson(annotations.createdAt),
    },
  };
}

function recordToJson({ digest, inputs, results }: ConfigRecord) {
  return {
    layers: nonEmpty(results.flatMap(chainToJson)),
    chains: nonEmpty(results.flatMap(listToJson)),
    digest,
    inputs: nonEmpty(
      inputs.map((input) =>
        input.map(({ selector, record }) => ({ selector: selector || undefined, link: record })),
      ),
    ),
  };
}

function chainToJson({ layers, createdAt }: ConfigResult) {
  return layers.kind === 'chain' ? [{ layer: layers.top, createdAt: timeToJson(createdAt) }] : [];
}

function listToJson({ layers, createdAt }: ConfigResult) {
  return layers.kind === 'list' ? [{ layers: layers.layers, createdAt: timeToJson(createdAt) }] : [];
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}

function timeToJson(time: Date | undefined): string {
  return time ? formatTime(time) : noTime;
}
