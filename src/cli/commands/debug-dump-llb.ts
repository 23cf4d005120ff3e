import { createReadStream } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import {
  DefinitionSchema,
  type FileAction,
  type Op,
  type OpMetadata,
  OpMetadataSchema,
  OpSchema,
} from '../../api/gen/ops_pb.js';
import { type Digest, digestOf } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { encodeDefinition } from '../../llb/wire/definition-wire.ts';
import type { CommandContext } from '../command-context.ts';
import { messageJson } from '../message-json.ts';
import { readDefinition } from '../options/read-definition.ts';

export interface DumpLlbFlags {
  readonly dot?: boolean;
}

interface DumpedOp {
  readonly digest: Digest;
  readonly op: Op;
  readonly metadata: OpMetadata | undefined;
}

/** What Go's structs call the alternatives of an op and of a step of a file op. */
const goOneofNames = { action: 'Op', change: 'Action' };

/** `kiln debug dump-llb`: a definition from a file or standard input, one op a line as JSON, or as a graph for `dot`. Needs no engine. */
export async function debugDumpLlb(
  flags: DumpLlbFlags,
  path: string | undefined,
  context: Pick<CommandContext, 'stdin' | 'stdout'>,
): Promise<void> {
  const fromFile = path !== undefined && path !== '-';
  const stream = fromFile ? createReadStream(path) : context.stdin;
  const definition = await readDefinition(stream, fromFile ? path : 'standard input').catch((error) => {
    throw error instanceof KilnError ? error : asKilnError(error).wrap(`cannot read ${path}`);
  });
  const { metadata } = fromBinary(DefinitionSchema, encodeDefinition(definition));
  const ops = definition.ops.map((bytes): DumpedOp => {
    const digest = digestOf(bytes);
    return { digest, op: parseOp(bytes, digest), metadata: metadata[digest] };
  });
  context.stdout.write(flags.dot ? dotGraph(ops) : ops.map(jsonLine).join(''));
}

function parseOp(bytes: Uint8Array, digest: Digest): Op {
  try {
    return fromBinary(OpSchema, bytes);
  } catch (cause) {
    throw new KilnError('invalid_argument', `op ${digest} of the definition is not an LLB op`, { cause });
  }
}

function jsonLine({ op, digest, metadata }: DumpedOp): string {
  const line = {
    Op: messageJson(OpSchema, op, goOneofNames),
    Digest: digest,
    OpMetadata: metadata ? messageJson(OpMetadataSchema, metadata, goOneofNames) : {},
  };
  return `${JSON.stringify(line)}\n`;
}

function dotGraph(ops: readonly DumpedOp[]): string {
  const nodes = ops.map(({ op, digest }) => {
    const { label, shape } = nodeOf(op, digest);
    return `  ${quote(digest)} [label=${quote(label)} shape=${quote(shape)}];\n`;
  });
  const edges = ops.flatMap(({ op, digest }) =>
    op.inputs.map((input, index) => {
      const mounts = op.action.case === 'exec' ? op.action.value.mounts : [];
      const mount = mounts.findLast(
        (candidate) => Number(candidate.input) === index && candidate.dest !== '/',
      );
      return `  ${quote(input.digest)} -> ${quote(digest)} [label=${quote(mount?.dest ?? '')}];\n`;
    }),
  );
  return `digraph {\n${nodes.join('')}${edges.join('')}}\n`;
}

function nodeOf({ action }: Op, digest: string): { readonly label: string; readonly shape: string } {
  switch (action.case) {
    case 'source':
      return { label: action.value.identifier, shape: 'ellipse' };
    case 'exec':
      return { label: action.value.meta?.args.join(' ') ?? '', shape: 'box' };
    case 'file':
      return {
        label: action.value.actions.map(({ change }) => fileChangeLabel(change)).join(','),
        shape: 'note',
      };
    case 'build':
      return { label: 'build', shape: 'box3d' };
    case 'merge':
      return { label: 'merge', shape: 'invtriangle' };
    case 'diff':
      return { label: 'diff', shape: 'doublecircle' };
    default:
      return { label: digest, shape: 'plaintext' };
  }
}

function fileChangeLabel(change: FileAction['change']): string {
  switch (change.case) {
    case 'copy':
      return `copy{src=${change.value.src}, dest=${change.value.dest}}`;
    case 'mkfile':
    case 'mkdir':
    case 'rm':
      return `${change.case}{path=${change.value.path}}`;
    default:
      return change.case ?? '';
  }
}

function quote(text: string): string {
  return JSON.stringify(text);
}
