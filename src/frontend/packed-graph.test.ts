import assert from 'node:assert/strict';
import test from 'node:test';
import { digestOf } from '../base/digest.ts';
import { canonicalText, type Plain } from '../base/text/canonical.ts';
import {
  decodeDefinition,
  files,
  fromDefinition,
  image,
  local,
  marshalGraph,
  type OpGraph,
  type State,
  scratch,
  toDefinition,
  toGraph,
  unmarshalDefinition,
} from '../llb/llb.ts';
import { encodeGraph } from '../llb/wire/marshal-graph.ts';
import { marshalTerminal } from '../llb/wire/marshal-op.ts';
import { packGraph, unpackGraph } from './packed-graph.ts';

const file = { filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from('FROM x') };
const range = { start: { line: 1, character: 0 }, end: { line: 1, character: 6 } };

/** A chain of `length` steps, which end in a file and a process. */
function chain(length: number): State {
  let state = image('docker.io/library/x').env('A', '1');
  for (let at = 0; at < length; at++) {
    state = state.file(files().copy(local('context', { sessionId: 's' }), `/${at}`, '/x'), { name: `${at}` });
  }
  return state
    .file(files().mkfile('/f', 0o644, 'data', { owner: 'u', timestamp: 5n }))
    .run(['true'], { locations: [{ file, ranges: [range] }] }).root;
}

/** What a graph says, without what `packGraph` leaves out. */
function textOf({ vertices, result, source }: OpGraph): string {
  const plain = [...vertices.values()].map(({ digest, op, metadata }) => ({ digest, op, metadata }));
  const locations = [...(source?.locations ?? [])];
  return canonicalText({ plain, result, files: source?.files, locations } as unknown as Plain);
}

test('a graph is the same on the other side, in parts of few vertices', async () => {
  const graph = toGraph(chain(1_000));
  const packed = packGraph(graph);
  assert.ok(packed.parts.length >= 10);
  const read = await unpackGraph(structuredClone(packed));
  assert.equal(textOf(read), textOf(graph));
  assert.deepEqual(
    marshalGraph(read).ops.map((op) => Buffer.from(op)),
    marshalGraph(graph).ops.map((op) => Buffer.from(op)),
  );
});

test('large ops are in parts of their own', () => {
  const large = (name: string) => files().mkfile(name, 0o644, Buffer.alloc(100_000));
  const state = scratch().file(large('/a')).file(large('/b')).file(large('/c'));
  assert.equal(packGraph(toGraph(state)).parts.length, 3);
});

test('an op that was read keeps its bytes, which a newer client may have filled with what is not known here', async () => {
  const known = toDefinition(local('c', { sessionId: 's' })).ops[0]!;
  const op = Buffer.concat([known, Buffer.from([0xf8, 0x06, 1])]);
  const terminal = marshalTerminal({ digest: digestOf(op), index: 0 });
  const read = fromDefinition({ ops: [op, terminal], metadata: new Map() });
  const packed = packGraph(toGraph(read.file(files().rm('/x'))));
  const definition = decodeDefinition(await encodeGraph(await unpackGraph(structuredClone(packed))));
  assert.deepEqual(Buffer.from(definition.ops[0]!), op);
  assert.equal(unmarshalDefinition(definition).vertices.size, 2);
});

test('a variable of many processes is packed once', async () => {
  let state = scratch().env('A', 'x'.repeat(10_000));
  for (let at = 0; at < 100; at++) state = state.env('B', `${at}`).run(['a']).root;
  const graph = toGraph(state);
  const packed = packGraph(graph);
  assert.ok(packed.parts.reduce((sum, { length }) => sum + length, 0) < 200_000);
  assert.equal(textOf(await unpackGraph(packed)), textOf(graph));
});

test('the data of a file holds nothing else', async () => {
  const read = await unpackGraph(packGraph(toGraph(chain(3))));
  const [data] = [...read.vertices.values()].flatMap(({ op: { action } }) =>
    action.kind === 'file'
      ? action.actions.flatMap(({ change }) => (change.kind === 'mkfile' ? [change.data] : []))
      : [],
  );
  assert.equal(Buffer.from(data!).toString(), 'data');
  assert.equal(data!.buffer.byteLength, 4);
});

test('the empty tree is packed too', async () => {
  assert.deepEqual(await unpackGraph(packGraph(toGraph(scratch()))), {
    vertices: new Map(),
    result: undefined,
  });
});
