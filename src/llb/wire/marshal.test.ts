import assert from 'node:assert/strict';
import test from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { canonicalText, type Plain } from '../../base/text/canonical.ts';
import {
  decodeDefinition,
  diff,
  encodeDefinition,
  files,
  image,
  local,
  marshalGraph,
  merge,
  type Op,
  type OpGraph,
  type State,
  scratch,
  toDefinition,
  toGraph,
  unmarshalDefinition,
} from '../llb.ts';
import { marshalOp, marshalTerminal } from './marshal-op.ts';
import { unmarshalOp } from './unmarshal-op.ts';

const source = (identifier: string): Op => ({
  inputs: [],
  action: { kind: 'source', identifier, attrs: {} },
});
const roundTrip = (op: Op) => {
  const bytes = marshalOp(op);
  return unmarshalOp(bytes, digestOf(bytes));
};

/** A tree that is made of every kind of op that states can make. */
function everyKind(): State {
  const base = image('docker.io/library/a:1', {
    platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
  });
  const exec = base
    .env('A', '1')
    .dir('/w')
    .user('u')
    .extraHost('h', '1.2.3.4')
    .ulimit('nofile', 1, 2)
    .run(['x'], {
      mounts: [
        { dest: '/c', type: { kind: 'cache', id: 'k', sharing: 'locked' } },
        { dest: '/t', type: { kind: 'tmpfs', size: 4096 } },
        { dest: '/m', from: local('l'), selector: '/s', contentCache: 'on' },
      ],
      secrets: [{ id: 's', dest: '/s', env: 'S' }],
      ssh: [{ optional: true }],
      proxyEnv: { httpProxy: 'p', httpsProxy: '', ftpProxy: '', noProxy: '', allProxy: '' },
      validExitCodes: [0, 7],
    });
  const changed = exec.root.file(
    files()
      .mkdir('d', 0o700, { owner: 'app:3', timestamp: 5n })
      .mkfile('/f', 0o644, 'data')
      .symlink('f', '/l')
      .rm('/x*', { allowWildcard: true })
      .copy(exec.mount('/m'), 'y', '/z/', { mode: 'u=rw', excludePatterns: ['*.o'] }),
  );
  return merge([changed, diff(base, exec.root)]);
}

test('every kind of op survives the wire', () => {
  const definition = toDefinition(everyKind(), { localUniqueId: 'u' });

  test('a graph that was made here equals the one that is read from its definition', () => {
    const made = toGraph(everyKind(), { localUniqueId: 'u' });
    const read = unmarshalDefinition(decodeDefinition(encodeDefinition(marshalGraph(made))));
    const comparable = ({ vertices, result }: OpGraph) =>
      canonicalText({
        vertices: [...vertices.values()].map(({ read: _read, ...said }) => said),
        result,
      } as unknown as Plain);
    assert.equal(comparable(read), comparable(made));
  });
  const graph = unmarshalDefinition(decodeDefinition(encodeDefinition(definition)));
  for (const { op, bytes } of graph.vertices.values())
    assert.deepEqual(Buffer.from(marshalOp(op)), Buffer.from(bytes!));
  assert.deepEqual(
    [...graph.vertices.values()].map(({ op }) => op.action.kind),
    ['source', 'source', 'exec', 'file', 'diff', 'merge'],
  );
});

test('a definition that was read is written as it came, and its files do not hold on to it', () => {
  const encoded = Buffer.from(
    encodeDefinition(toDefinition(scratch().file(files().mkfile('/a', 0o644, 'data')))),
  );
  const definition = decodeDefinition(encoded);
  assert.equal(encodeDefinition(definition), encoded);
  for (const { op } of unmarshalDefinition(definition).vertices.values()) {
    const [first] = op.action.kind === 'file' ? op.action.actions : [];
    assert.ok(first?.change.kind === 'mkfile');
    assert.equal(Buffer.from(first.change.data).toString(), 'data');
    assert.equal(first.change.data.buffer.byteLength, 4);
  }
});

test('equal ops have equal bytes whatever the order of their keys', () => {
  const op = (attrs: Record<string, string>): Op => ({
    inputs: [],
    action: { kind: 'source', identifier: 'x://', attrs },
  });
  assert.deepEqual(marshalOp(op({ a: '1', b: '2' })), marshalOp(op({ b: '2', a: '1' })));
});

test('an unset mode and time stay unset', () => {
  const read = unmarshalDefinition(
    toDefinition(scratch().file(files().copy(local('c', { sessionId: 's' }), '/a', '/b'))),
  );
  const { action } = [...read.vertices.values()].at(-1)!.op;
  assert.ok(action.kind === 'file' && action.actions[0]!.change.kind === 'copy');
  assert.equal(action.actions[0]!.change.mode, undefined);
  assert.equal(action.actions[0]!.change.timestamp, undefined);
});

test('a definition that makes no sense is refused, naming the vertex', () => {
  const a = marshalOp(source('a://'));
  const terminal = (bytes: Uint8Array) => marshalTerminal({ digest: digestOf(bytes), index: 0 });
  const refuse = (ops: readonly Uint8Array[], message: RegExp) =>
    assert.throws(() => unmarshalDefinition({ ops, metadata: new Map() }), {
      code: 'invalid_argument',
      message,
    });
  refuse([terminal(a)], /the result is sha256:.* which it does not contain/);
  refuse([a], /last op has to be the terminal one/);
  refuse([terminal(a), terminal(terminal(a))], /it has no action/);
  const user = marshalOp({
    inputs: [{ digest: digestOf('gone'), index: 0 }],
    action: { kind: 'merge', inputs: [0] },
  });
  refuse([user, terminal(user)], /the input of vertex sha256:/);
  refuse([Buffer.from([0xff, 0xff]), terminal(a)], /does not contain/);
});

test('an index that leads nowhere is refused', () => {
  assert.throws(
    () => roundTrip({ inputs: [], action: { kind: 'merge', inputs: [0] } }),
    /refers to input 0 of 0/,
  );
  assert.throws(
    () =>
      roundTrip({
        inputs: [],
        action: {
          kind: 'file',
          actions: [
            {
              input: 3,
              secondaryInput: -1,
              output: 0,
              change: { kind: 'rm', path: '/', allowNotFound: false, allowWildcard: false },
            },
          ],
        },
      }),
    /the input of its file action 0 is 3/,
  );
  assert.throws(() => decodeDefinition(Buffer.from('nonsense')), { code: 'invalid_argument' });
});

test('what a source file was read from goes over the wire with it', () => {
  const definition = toDefinition(local('dockerfile', { sessionId: 's' }));
  const file = { filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from('FROM x'), definition };
  const range = { start: { line: 1, character: 0 }, end: { line: 1, character: 6 } };
  const written = toDefinition(image('docker.io/library/x', { locations: [{ file, ranges: [range] }] }));
  const { source } = decodeDefinition(encodeDefinition(written));
  const [read] = source!.files;
  assert.deepEqual(Buffer.from(read!.data), file.data);
  assert.deepEqual(
    read!.definition?.ops.map((op) => digestOf(op)),
    definition.ops.map((op) => digestOf(op)),
  );
  assert.deepEqual([...source!.locations.values()], [[{ file: 0, ranges: [range] }]]);
});
