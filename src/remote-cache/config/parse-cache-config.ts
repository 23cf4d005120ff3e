import type { Steps } from '../../base/async/in-turns.ts';
import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type {
  CacheConfig,
  ConfigLayer,
  ConfigLink,
  ConfigRecord,
  ConfigResult,
  LayerAnnotations,
} from './cache-config.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a config, in time linear in it, a layer or record in each step. Positions that lead nowhere, records that lead to themselves and layers that lie on themselves make
 * it invalid. `what` names it in errors (`invalid_argument`). Unknown fields are passed over.
 */
export function* parseCacheConfig(bytes: Uint8Array, what: string): Steps<CacheConfig> {
  const json = objectOf(parseJson(bytes, what), what);
  const layers = yield* each(listOf(json.layers, 'layers', what), (layer) => layerOf(layer, what));
  const records = yield* each(listOf(json.records, 'records', what), (record) => recordOf(record, what));
  return yield* checked({ layers, records }, what);
}

/** Reads the records of an inline cache. `layers` are those of its image. */
export function* parseInlineRecords(
  bytes: Uint8Array,
  layers: readonly ConfigLayer[],
  what: string,
): Steps<CacheConfig> {
  const list = listOf(parseJson(bytes, what), 'records', what);
  const records = yield* each(list, (record) => recordOf(record, what));
  return yield* checked({ layers, records }, what);
}

function* each<T>(values: readonly unknown[], read: (value: unknown) => T): Steps<readonly T[]> {
  const found: T[] = [];
  for (const value of values) {
    found.push(read(value));
    yield;
  }
  return found;
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (cause) {
    throw new KilnError('invalid_argument', `${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Positions that are missing are 0: Go leaves zeros out. */
function layerOf(value: unknown, what: string): ConfigLayer {
  const { blob, parent, annotations } = objectOf(value, what);
  const below = parent === -1 ? undefined : positionOf(parent ?? 0, what);
  return {
    blob: digestOf(blob, what),
    parent: below,
    ...(annotations != null && { annotations: annotationsOf(annotations, what) }),
  };
}

function annotationsOf(value: unknown, what: string): LayerAnnotations {
  const { mediaType, diffID, size, createdAt } = objectOf(value, what);
  if (size !== undefined && (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0))
    throw invalid(what, `size ${JSON.stringify(size)} is not a number of bytes`);
  return {
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    diffId: digestOf(diffID, what),
    size: size ?? 0,
    createdAt: timeOf(createdAt),
  };
}

function recordOf(value: unknown, what: string): ConfigRecord {
  const { digest, inputs, layers, chains } = objectOf(value, what);
  return {
    digest: digestOf(digest, what),
    inputs: listOf(inputs, 'inputs', what).map((input) =>
      listOf(input, 'an input', what).map((link) => linkOf(link, what)),
    ),
    results: [
      ...listOf(layers, 'layers of a record', what).map((result): ConfigResult => {
        const { layer, createdAt } = objectOf(result, what);
        const top = positionOf(layer ?? 0, what);
        return { layers: { kind: 'chain', top }, createdAt: timeOf(createdAt) ?? new Date(0) };
      }),
      ...listOf(chains, 'chains of a record', what).map((result): ConfigResult => {
        const { layers: list, createdAt } = objectOf(result, what);
        const positions = listOf(list, 'a chain', what).map((position) => positionOf(position, what));
        return { layers: { kind: 'list', layers: positions }, createdAt: timeOf(createdAt) ?? new Date(0) };
      }),
    ],
  };
}

function linkOf(value: unknown, what: string): ConfigLink {
  const { selector = '', link } = objectOf(value, what);
  if (typeof selector !== 'string') throw invalid(what, 'a selector is not text');
  return { selector, record: positionOf(link ?? 0, what) };
}

/** Checks what positions lead to. */
function* checked(config: CacheConfig, what: string): Steps<CacheConfig> {
  const { layers, records } = config;
  const inLayers = (position: number) => {
    if (position >= layers.length) throw invalid(what, `there is no layer ${position}`);
  };
  for (const { parent } of layers) if (parent !== undefined) inLayers(parent);
  for (const { inputs, results } of records) {
    yield;
    for (const { layers: made } of results) {
      if (made.kind === 'chain') inLayers(made.top);
      else made.layers.forEach(inLayers);
    }
    for (const input of inputs) {
      if (input.length === 0) throw invalid(what, 'an input of a record has no keys');
      for (const { record } of input)
        if (record >= records.length) throw invalid(what, `there is no record ${record}`);
    }
  }
  if (!inOrder(layers, layersBelow)) throw invalid(what, 'a layer lies on itself');
  if (!inOrder(records, neededRecords)) throw invalid(what, 'a record leads to itself');
  return config;
}

/** The layer on which a layer lies. */
export function layersBelow({ parent }: ConfigLayer): readonly number[] {
  return parent === undefined ? [] : [parent];
}

/** The records that lead to a record. */
export function* neededRecords({ inputs }: ConfigRecord): Iterable<number> {
  for (const input of inputs) for (const { record } of input) yield record;
}

/**
 * Returns the positions of `items` in an order in which each comes after those that it needs; undefined when some need themselves. Takes time
 * linear in all needs.
 */
export function inOrder<T>(
  items: readonly T[],
  needs: (item: T) => Iterable<number>,
): readonly number[] | undefined {
  const waiting = new Uint32Array(items.length);
  const dependents: number[][] = items.map(() => []);
  const order: number[] = [];
  for (const [position, item] of items.entries()) {
    for (const need of needs(item)) {
      waiting[position]!++;
      dependents[need]!.push(position);
    }
    if (waiting[position] === 0) order.push(position);
  }
  for (const position of order)
    for (const dependent of dependents[position]!) if (--waiting[dependent]! === 0) order.push(dependent);
  return order.length === items.length ? order : undefined;
}

function objectOf(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw invalid(what, 'it has something else where an object is expected');
}

function listOf(value: unknown, name: string, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw invalid(what, `${name} is not a list`);
}

function digestOf(value: unknown, what: string): Digest {
  if (typeof value === 'string' && isDigest(value)) return value;
  throw invalid(what, `${JSON.stringify(value)?.slice(0, 100)} is not a digest`);
}

function positionOf(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(what, `${JSON.stringify(value)?.slice(0, 100)} is not a position`);
}

/** Go's zero time stands for none. */
function timeOf(value: unknown): Date | undefined {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) || time <= 0 ? undefined : new Date(time);
}

function invalid(what: string, reason: string): KilnError {
  return new KilnError('invalid_argument', `${what}: ${reason}`);
}
