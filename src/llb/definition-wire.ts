import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import {
  DefinitionSchema,
  type OpMetadata as OpMetadataMessage,
  OpMetadataSchema,
  type SourceMap as SourceMapMessage,
  SourceMapSchema,
} from '../api/gen/ops_pb.js';
import { atOnce, inTurns, type Steps } from '../base/async/in-turns.ts';
import { type Digest, parseDigest } from '../base/digest.ts';
import { KilnError, type Position } from '../base/errors.ts';
import type { Definition, OpMetadata, SourceMap } from './op.ts';
import { sortedRecord } from './sorted-record.ts';

/** What is known of a vertex about which a definition says nothing. */
export const emptyMetadata: OpMetadata = Object.freeze({ ignoreCache: false, description: {}, caps: {} });

export function encodeDefinition({ encoded, ops, metadata, source }: Definition): Uint8Array {
  if (encoded) return encoded;
  const message = create(DefinitionSchema, {
    ops: [...ops],
    metadata: sortedRecord(Object.fromEntries(metadata), metadataToMessage),
    source: source && sourceMapToMessage(source),
  });
  return toBinary(DefinitionSchema, message);
}

/**
 * Throws `invalid_argument` when `bytes` are not a definition, or name a vertex by something that is not a digest. Its ops are
 * not looked into.
 */
export function decodeDefinition(bytes: Uint8Array): Definition {
  return atOnce(decode(bytes));
}

/** The same, for definitions that may be large: lets the event loop turn. */
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

function sourceMapToMessage(map: SourceMap): MessageInitShape<typeof SourceMapSchema> {
  return {
    infos: map.files.map(({ filename, language, data, definition }) => ({
      filename,
      language,
      data,
      definition: definition && encodeDefinition(definition),
    })),
    locations: sortedRecord(Object.fromEntries(map.locations), (locations) => ({
      locations: locations.map(({ file, ranges }) => ({
        sourceIndex: file,
        ranges: ranges.map(({ start, end }) => ({ start: { ...start }, end: { ...end } })),
      })),
    })),
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
