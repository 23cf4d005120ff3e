import { unixPath } from '../../base/default-path.ts';
import { KilnError } from '../../base/errors.ts';
import { formatTime } from '../../base/format-time.ts';
import { goJson, parseRawFields, writeRawFields } from '../../base/json/go-json.ts';
import type { Platform } from '../../base/platform.ts';
import type { HistoryEntry } from '../../oci/image-config.ts';
import { platformToJson } from '../../oci/platform-json.ts';
import type { LayerBlob } from '../../ref/ref.ts';

export interface ImageConfigInput {
  /** The config as the frontend made it; undefined for a bare LLB build. */
  readonly config: Uint8Array | undefined;
  readonly platform: Platform;
  /** The layers with what is known about how each was made. */
  readonly layers: readonly LayerBlob[];
  /** The config of the image that this one was built from. */
  readonly baseConfig?: Uint8Array;
  /** Seconds since 1970. */
  readonly epoch?: number;
  /** The records of a cache in BuildKit's format. */
  readonly inlineCache?: Uint8Array;
}

/**
 * The image config as it is published: the frontend's, with the layers that came out, a history that has one entry for
 * each of them, a creation time, and times clamped to the epoch. Other fields keep the text they came with. Throws
 * `invalid_argument` for a config that is not JSON or lacks a platform.
 */
export function completeImageConfig(input: ImageConfigInput): Uint8Array {
  const { config, platform, layers, epoch } = input;
  const text = config?.length ? Buffer.from(config).toString('utf8') : defaultConfig(platform);
  if (text.trim() === 'null') throw new KilnError('invalid_argument', 'invalid null image config for export');
  const fields = parseRawFields(text, 'image config for export');
  for (const required of ['os', 'architecture']) {
    if (!fields.has(required) || fields.get(required) === '""') {
      throw new KilnError('invalid_argument', `invalid image config for export: missing ${required}`);
    }
  }

  const rootfs = { type: 'layers', diff_ids: layers.length > 0 ? layers.map((layer) => layer.diffId) : null };
  fields.set('rootfs', goJson(rootfs));

  const given = JSON.parse(fields.get('history') ?? 'null') as readonly HistoryEntry[] | null;
  const complete = completeHistory(given ?? [], layers);
  const history = epoch === undefined ? complete : clampHistory(complete, epoch, input.baseConfig);
  fields.set('history', history.length > 0 ? goJson(history.map(inOrder)) : 'null');

  const created = fields.get('created');
  if (created === undefined) {
    const last = history.findLast((entry) => entry.created !== undefined)?.created;
    fields.set('created', goJson(last ?? null));
  } else if (epoch !== undefined && isLater(JSON.parse(created) as string | null, epoch)) {
    fields.set('created', goJson(formatTime(new Date(epoch * 1000))));
  }
  if (input.inlineCache)
    fields.set('moby.buildkit.cache.v0', JSON.stringify(Buffer.from(input.inlineCache).toString('base64')));
  return Buffer.from(writeRawFields(fields));
}

function defaultConfig(platform: Platform): string {
  return goJson({
    ...platformToJson(platform),
    config: { ...(platform.os === 'windows' ? {} : { Env: [`PATH=${unixPath}`] }), WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: null },
  });
}

/** One entry with a layer for each layer, and a time for every entry. */
function completeHistory(
  history: readonly HistoryEntry[],
  layers: readonly LayerBlob[],
): readonly HistoryEntry[] {
  let count = 0;
  // A history that claims more layers than there are: the surplus becomes entries without a layer.
  const fitting = history.map((entry) => {
    if (entry.empty_layer) return entry;
    return count++ < layers.length ? entry : { ...entry, empty_layer: true };
  });
  const missing: readonly HistoryEntry[] = layers
    .slice(fitting.filter((entry) => !entry.empty_layer).length)
    .map((layer) => ({
      created: timeOf(layer),
      created_by: layer.description ?? 'created by kiln',
      comment: 'buildkit.exporter.image.v0',
    }));
  let layer = 0;
  const timed = [...fitting, ...missing].map((entry) => {
    if (entry.empty_layer) return entry;
    const made = layers[layer++];
    return entry.created === undefined && made ? { ...entry, created: timeOf(made) } : entry;
  });
  return fillTimes(timed);
}

/** Entries without a layer take the time of the one before them; the first ones, that of the first new layer. */
function fillTimes(history: readonly HistoryEntry[]): readonly HistoryEntry[] {
  const firstUntimed = history.findIndex((entry) => entry.created === undefined);
  if (firstUntimed < 0) return history;
  const following = history.slice(firstUntimed).find((entry) => entry.created !== undefined);
  const preceding = history.slice(0, firstUntimed).findLast((entry) => entry.created !== undefined);
  let time = (following ?? preceding)?.created;
  return history.map((entry, index) => {
    if (entry.created === undefined) return { ...entry, created: time };
    if (index > firstUntimed) time = entry.created;
    return entry;
  });
}

/** Entries that are the base image's own, from the bottom on, keep their times. */
function clampHistory(
  history: readonly HistoryEntry[],
  epoch: number,
  baseConfig: Uint8Array | undefined,
): readonly HistoryEntry[] {
  const base = baseConfig?.length
    ? ((JSON.parse(Buffer.from(baseConfig).toString('utf8')) as { history?: readonly HistoryEntry[] })
        .history ?? [])
    : [];
  const clamped = formatTime(new Date(epoch * 1000));
  let diverged = false;
  return history.map((entry, index) => {
    const original = base[index];
    diverged ||= original === undefined || !sameEntry(entry, original);
    if (!diverged) return entry;
    return entry.created === undefined || isLater(entry.created, epoch)
      ? { ...entry, created: clamped }
      : entry;
  });
}

function sameEntry(a: HistoryEntry, b: HistoryEntry): boolean {
  return JSON.stringify(inOrder(a)) === JSON.stringify(inOrder(b));
}

/** Fields in the order in which Go writes them, empty ones left out. */
function inOrder(entry: HistoryEntry): HistoryEntry {
  return {
    created: entry.created,
    created_by: entry.created_by || undefined,
    author: entry.author || undefined,
    comment: entry.comment || undefined,
    empty_layer: entry.empty_layer || undefined,
  };
}

function isLater(time: string | null, epoch: number): boolean {
  return time !== null && Date.parse(time) > epoch * 1000;
}

function timeOf(layer: LayerBlob): string | undefined {
  return layer.createdAt && formatTime(layer.createdAt);
}
