import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type Definition as DefinitionMessage,
  DefinitionSchema,
  type OpMetadata as OpMetadataMessage,
  type OpMetadataSchema,
  type SourceMap as SourceMapMessage,
  type SourceMapSchema,
} from '../api/gen/ops_pb.js';
import { type Digest, parseDigest } from '../base/digest.ts';
import { KilnError, type Position } from '../base/errors.ts';
import type { Definition, OpMetadata, SourceMap } from './op.ts';
import { sortedRecord } from './sorted-record.ts';

/** What is known of a vertex about which a definition says nothing. */
export const emptyMetadata: OpMetadata = Object.freeze({ ignoreCache: false, description: {}, caps: {} });

export function encodeDefinition(definition: Definition): Uint8Array {
  return toBinary(DefinitionSchema, create(DefinitionSchema, definitionToMessage(definition)));
}

/** Throws `invalid_argument` when `bytes` are not a definition. Its ops are not looked into. */
export function decodeDefinition(bytes: Uint8Array): Definition {
  let message: DefinitionMessage;
  try {
    message = fromBinary(DefinitionSchema, bytes);
  } catch (cause) {
    throw new KilnError('invalid_argument', 'these bytes are not an LLB definition', {
      cause,
      hint: 'expected the output of an LLB client, as `buildctl debug dump-llb` reads it',
    });
  }
  return definitionFromMessage(message);
}

export function definitionToMessage(definition: Definition): MessageInitShape<typeof DefinitionSchema> {
  return {
    ops: [...definition.ops],
    metadata: sortedRecord(Object.fromEntries(definition.metadata), metadataToMessage),
    source: definition.source && sourceMapToMessage(definition.source),
  };
}

/** Throws `invalid_argument` when a vertex is named by something that is not a digest. */
export function definitionFromMessage(message: DefinitionMessage): Definition {
  return {
    ops: message.ops,
    metadata: new Map(
      Object.entries(message.metadata).map(([digest, metadata]) => [
        parseDigest(digest),
        metadataFromMessage(metadata),
      ]),
    ),
    source: message.source && sourceMapFromMessage(message.source),
  };
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
    infos: map.files.map(({ filename, language, data }) => ({ filename, language, data })),
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
    files: message.infos.map(({ filename, language, data }) => ({ filename, language, data })),
    locations,
  };
}

function position(of: Position | undefined): Position {
  return { line: of?.line ?? 0, character: of?.character ?? 0 };
}
