import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import {
  type ChownSchema,
  type ExecOpSchema,
  type FileActionSchema,
  type MountSchema,
  MountType,
  OpSchema,
  type OwnerSchema,
} from '../../api/gen/ops_pb.js';
import type { ExecMount, ExecOp, FileAction, Input, Op, OpAction, Owner, OwnerId } from '../op.ts';
import { encodeDefinition } from './definition-wire.ts';
import { sortedRecord } from './sorted-record.ts';
import { cacheSharings, contentCaches, networkModes, securityModes, unset } from './wire-values.ts';

/**
 * The bytes of an op: protobuf with fields in the order of their numbers and maps in the order of their keys, so that
 * equal ops have equal bytes. The action comes last, as Go places what is one of several.
 */
export function marshalOp(op: Op): Uint8Array {
  const message = create(OpSchema, {
    inputs: op.inputs.map(input),
    action: action(op.action),
    platform: op.platform && {
      architecture: op.platform.architecture,
      os: op.platform.os,
      variant: op.platform.variant ?? '',
      osVersion: op.platform.osVersion ?? '',
      osFeatures: [...(op.platform.osFeatures ?? [])],
    },
    constraints: op.constraints && { filters: [...op.constraints] },
  });
  return withActionLast(toBinary(OpSchema, message));
}

const actionFields: ReadonlySet<number> = new Set(
  OpSchema.oneofs.flatMap(({ fields }) => fields.map(({ number }) => number)),
);

/** Moves the action behind what follows it, in place. */
function withActionLast(bytes: Uint8Array): Uint8Array {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, type] = reader.tag();
    reader.skip(type, field);
    if (!actionFields.has(field)) continue;
    const moved = bytes.slice(start, reader.pos);
    bytes.copyWithin(start, reader.pos);
    bytes.set(moved, bytes.length - moved.length);
    break;
  }
  return bytes;
}

/** The op without an action that ends a definition and names its result. */
export function marshalTerminal(result: Input): Uint8Array {
  return toBinary(OpSchema, create(OpSchema, { inputs: [input(result)] }));
}

function input({ digest, index }: Input) {
  return { digest, index: BigInt(index) };
}

function action(of: OpAction): MessageInitShape<typeof OpSchema>['action'] {
  switch (of.kind) {
    case 'exec':
      return { case: 'exec', value: exec(of) };
    case 'source':
      return { case: 'source', value: { identifier: of.identifier, attrs: sortedRecord(of.attrs) } };
    case 'file':
      return { case: 'file', value: { actions: of.actions.map(fileAction) } };
    case 'build':
      return {
        case: 'build',
        value: {
          builder: BigInt(of.builder),
          inputs: sortedRecord(of.inputs, (index) => ({ input: BigInt(index) })),
          definition: of.definition && encodeDefinition(of.definition),
          attrs: sortedRecord(of.attrs),
        },
      };
    case 'merge':
      return { case: 'merge', value: { inputs: of.inputs.map((index) => ({ input: BigInt(index) })) } };
    case 'diff':
      return {
        case: 'diff',
        value: { lower: { input: BigInt(of.lower) }, upper: { input: BigInt(of.upper) } },
      };
    case 'passthrough':
      return { case: 'passthrough', value: { id: of.id, outputs: of.outputs.map(BigInt) } };
  }
}

function exec(op: ExecOp): MessageInitShape<typeof ExecOpSchema> {
  const { meta } = op;
  return {
    meta: {
      args: [...meta.args],
      env: [...meta.env],
      cwd: meta.cwd,
      user: meta.user,
      proxyEnv: meta.proxyEnv,
      extraHosts: meta.extraHosts.map((host) => ({ ...host })),
      hostname: meta.hostname,
      ulimits: meta.ulimits.map(({ name, soft, hard }) => ({ name, soft: BigInt(soft), hard: BigInt(hard) })),
      cgroupParent: meta.cgroupParent,
      removeMountStubsRecursive: meta.removeMountStubsRecursive,
      validExitCodes: [...meta.validExitCodes],
    },
    mounts: op.mounts.map(mount),
    network: networkModes.byName[op.network],
    security: securityModes.byName[op.security],
    secretEnv: op.secretEnv.map((secret) => ({ ...secret })),
    devices: op.devices.map((device) => ({ ...device })),
  };
}

function mount(of: ExecMount): MessageInitShape<typeof MountSchema> {
  return {
    input: BigInt(of.input),
    selector: of.selector,
    dest: of.dest,
    output: BigInt(of.output),
    readonly: of.readonly,
    resultId: of.resultId,
    contentCache: contentCaches.byName[of.contentCache],
    ...mountType(of.type),
  };
}

function mountType(type: ExecMount['type']): MessageInitShape<typeof MountSchema> {
  switch (type.kind) {
    case 'bind':
      return { type: MountType.BIND };
    case 'tmpfs':
      return { type: MountType.TMPFS, tmpfs: { size: BigInt(type.size) } };
    case 'cache':
      return {
        type: MountType.CACHE,
        cache: { id: type.id, sharing: cacheSharings.byName[type.sharing] },
      };
    case 'secret':
    case 'ssh': {
      const { id, uid, gid, mode, optional } = type;
      const options = { id, uid, gid, mode, optional };
      return type.kind === 'secret'
        ? { type: MountType.SECRET, secret: options }
        : { type: MountType.SSH, ssh: options };
    }
  }
}

function fileAction(of: FileAction): MessageInitShape<typeof FileActionSchema> {
  return {
    input: BigInt(of.input),
    secondaryInput: BigInt(of.secondaryInput),
    output: BigInt(of.output),
    change: fileChange(of.change),
  };
}

function fileChange(change: FileAction['change']): MessageInitShape<typeof FileActionSchema>['change'] {
  switch (change.kind) {
    case 'copy':
      return {
        case: 'copy',
        value: {
          src: change.src,
          dest: change.dest,
          owner: chown(change.owner),
          mode: change.modeString === '' ? (change.mode ?? unset) : 0,
          modeString: change.modeString,
          followSymlink: change.followSymlink,
          dirCopyContents: change.dirCopyContents,
          unpackArchive: change.unpackArchive,
          createDestPath: change.createDestPath,
          allowWildcard: change.allowWildcard,
          allowEmptyWildcard: change.allowEmptyWildcard,
          timestamp: time(change.timestamp),
          includePatterns: [...change.includePatterns],
          excludePatterns: [...change.excludePatterns],
          requiredPaths: [...change.requiredPaths],
          alwaysReplaceExistingDestPaths: change.alwaysReplaceExistingDestPaths,
        },
      };
    case 'mkfile':
      return {
        case: 'mkfile',
        value: {
          path: change.path,
          mode: change.mode,
          data: change.data,
          owner: chown(change.owner),
          timestamp: time(change.timestamp),
        },
      };
    case 'mkdir':
      return {
        case: 'mkdir',
        value: {
          path: change.path,
          mode: change.mode,
          makeParents: change.makeParents,
          owner: chown(change.owner),
          timestamp: time(change.timestamp),
        },
      };
    case 'symlink':
      return {
        case: 'symlink',
        value: {
          oldPath: change.oldPath,
          newPath: change.newPath,
          owner: chown(change.owner),
          timestamp: time(change.timestamp),
        },
      };
    case 'rm':
      return {
        case: 'rm',
        value: {
          path: change.path,
          allowNotFound: change.allowNotFound,
          allowWildcard: change.allowWildcard,
        },
      };
  }
}

function time(of: bigint | undefined): bigint {
  return of ?? BigInt(unset);
}

function chown(owner: Owner | undefined): MessageInitShape<typeof ChownSchema> | undefined {
  return owner && { user: ownerId(owner.user), group: ownerId(owner.group) };
}

function ownerId(id: OwnerId | undefined): MessageInitShape<typeof OwnerSchema> | undefined {
  if (!id) return undefined;
  return id.kind === 'id'
    ? { owner: { case: 'byId', value: id.id } }
    : { owner: { case: 'byName', value: { name: id.name, input: BigInt(id.input) } } };
}
