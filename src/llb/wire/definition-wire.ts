import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  DefinitionSchema,
  type OpMetadata as OpMetadataMessage,
  OpMetadataSchema,
  type SourceMap as SourceMapMessage,
  SourceMapSchema,
} from '../../api/gen/ops_pb.js';
import { atOnce, inTurns, type Steps } from '../../base/async/in-turns.ts';
import { type Digest, parseDigest } from '../../base/digest.ts';
import { KilnError, type Position, type Range } from '../../base/errors.ts';
import type { Definition, OpMetadata, SourceFile, SourceMap } from '../op.ts';
import { sortedRecord } from './sorted-record.ts';

/** The message that the definition was read from, or the one that equal definitions have. */
export function encodeDefinition(definition: Definition): Uint8Array {
  return atOnce(encodeSteps(definition));
}

/** How many entries of a field are encoded in one step. */
const batch = 32;

/** The encoding of a message is that of its fields one after another: some of them are written in each step. */
export function* encodeSteps({ encoded, ops, metadata, source }: Definition): Steps<Uint8Array> {
  if (encoded) return encoded;
  const parts: Uint8Array[] = [];
  const add = (fields: MessageInitShape<typeof DefinitionSchema>) =>
    parts.push(toBinary(DefinitionSchema, create(DefinitionSchema, fields)));
  for (const some of batches(ops)) {
    add({ ops: [...some] });
    yield;
  }
  for (const some of batches([...metadata.keys()].sort())) {
    const entries = some.map((digest) => [digest, metadataToMessage(metadata.get(digest)!)] as const);
    add({ metadata: Object.fromEntries(entries) });
    yield;
  }
  if (source) {
    const writer = new BinaryWriter().tag(DefinitionSchema.field.source.number, WireType.LengthDelimited);
    parts.push(writer.bytes(yield* encodeSourceMap(source)).finish());
  }
  return Buffer.concat(parts);
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += batch) yield items.slice(start, start + batch);
}

function* encodeSourceMap({ files, locations }: SourceMap): Steps<Uint8Array> {
  const parts: Uint8Array[] = [];
  const add = (fields: MessageInitShape<typeof SourceMapSchema>) =>
    parts.push(toBinary(SourceMapSchema, create(SourceMapSchema, fields)));
  for (const some of batches([...locations.keys()].sort())) {
    const entries = some.map(
      (digest) => [digest, { locations: locations.get(digest)!.map(locationToMessage) }] as const,
    );
    add({ locations: Object.fromEntries(entries) });
    yield;
  }
  add({ infos: files.map(sourceFileToMessage) });
  return Buffer.concat(parts);
}

/**
 * Reads a definition, but not its ops. Throws `invalid_argument` when `bytes` are not a definition, or name a vertex by something
 * that is not a digest.
 */
export function decodeDefinition(bytes: Uint8Array): Definition {
  return atOnce(decode(bytes));
}

/** The same for definitions that may be large: lets the event loop turn meanwhile. */
export function decodeInTurns(bytes: Uint8Array): Promise<Definition> {
  return inTurns(decode(bytes));
}

function* decode(encoded: Uint8Array): Steps<Definition> {
  const { ops, metadata, source } = DefinitionSchema.field;
  const read = {
    ops: [] as Uint8Array[],
    metadata: new Map<Digest, OpMetadata>(),
    source: undefined as SourceMap | undefined,
  };
  try {
    for (const [field, bytes] of lengthDelimited(encoded)) {
      if (field === ops.number) read.ops.push(bytes);
      else if (field === metadata.number) read.metadata.set(...metadataEntry(bytes));
      else if (field === source.number)
        read.source = sourceMapFromMessage(fromBinary(SourceMapSchema, bytes));
      yield;
    }
  } catch (cause) {
    if (cause instanceof KilnError) throw cause;
    throw new KilnError('invalid_argument', 'these bytes are not an LLB definition', {
      cause,
      hint: 'expected the output of an LLB client, as `buildctl debug dump-llb` reads it',
    });
  }
  return { ...read, encoded };
}

/** An entry of a map: the key is field 1, the value field 2. */
function metadataEntry(entry: Uint8Array): [Digest, OpMetadata] {
  const fields = new Map(lengthDelimited(entry));
  const digest = Buffer.from(fields.get(1) ?? []).toString('utf8');
  return [
    parseDigest(digest),
    metadataFromMessage(fromBinary(OpMetadataSchema, fields.get(2) ?? new Uint8Array())),
  ];
}

/** The fields of a message that are strings, bytes or messages; others are skipped. */
function* lengthDelimited(message: Uint8Array): Generator<[field: number, bytes: Uint8Array]> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) yield [field, reader.bytes()];
    else reader.skip(type, field);
  }
}

function metadataToMessage(metadata: OpMetadata): MessageInitShape<typeof OpMetadataSchema> {
  const { resources } = metadata;
  return {
    ignoreCache: metadata.ignoreCache,
    description: sortedRecord(metadata.description),
    exportCache: metadata.exportCache === undefined ? undefined : { value: metadata.exportCache },
    caps: sortedRecord(metadata.caps),
    progressGroup: metadata.progressGroup,
    resources: resources && {
      memory: BigInt(resources.memory),
      memorySwap: BigInt(resources.memorySwap),
      cpuShares: BigInt(resources.cpuShares),
      cpuPeriod: BigInt(resources.cpuPeriod),
      cpuQuota: BigInt(resources.cpuQuota),
      cpusetCpus: resources.cpusetCpus,
      cpusetMems: resources.cpusetMems,
    },
  };
}

function metadataFromMessage(message: OpMetadataMessage): OpMetadata {
  const { progressGroup: group, resources } = message;
  return {
    ignoreCache: message.ignoreCache,
    description: message.description,
    caps: message.caps,
    ...(message.exportCache && { exportCache: message.exportCache.value }),
    ...(group && { progressGroup: { id: group.id, name: group.name, weak: group.weak } }),
    ...(resources && {
      resources: {
        memory: Number(resources.memory),
        memorySwap: Number(resources.memorySwap),
        cpuShares: Number(resources.cpuShares),
        cpuPeriod: Number(resources.cpuPeriod),
        cpuQuota: Number(resources.cpuQuota),
        cpusetCpus: resources.cpusetCpus,
        cpusetMems: resources.cpusetMems,
      },
    }),
  };
}

function sourceFileToMessage({ filename, language, data, definition }: SourceFile) {
  return { filename, language, data, definition: definition && encodeDefinition(definition) };
}

function locationToMessage({ file, ranges }: { readonly file: number; readonly ranges: readonly Range[] }) {
  return {
    sourceIndex: file,
    ranges: ranges.map(({ start, end }) => ({ start: { ...start }, end: { ...end } })),
  };
}

function sourceMapFromMessage(message: SourceMapMessage): SourceMap {
  const locations = new Map<Digest, { file: number; ranges: { start: Position; end: Position }[] }[]>();
  for (const [digest, { locations: of }] of Object.entries(message.locations)) {
    locations.set(
      parseDigest(digest),
      of.map(({ sourceIndex, ranges }) => ({
        file: sourceIndex,
        ranges: ranges.map(({ start, end }) => ({ start: position(start), end: position(end) })),
      })),
    );
  }
  return {
    files: message.infos.map(({ filename, language, data, definition }) => ({
      filename,
      language,
      data,
      ...(definition && { definition: decodeDefinition(definition) }),
    })),
    locations,
  };
}

function position(of: Position | undefined): Position {
  return { line: of?.line ?? 0, character: of?.character ?? 0 };
}
