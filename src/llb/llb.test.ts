import assert from 'node:assert/strict';
import test from 'node:test';
import { digestOf } from '../base/digest.ts';
import {
  decodeDefinition,
  diff,
  encodeDefinition,
  files,
  fromDefinition,
  git,
  image,
  local,
  merge,
  type Op,
  State,
  scratch,
  toDefinition,
  unmarshalDefinition,
} from './llb.ts';
import { marshalOp, marshalTerminal } from './marshal.ts';
import { unmarshalOp } from './unmarshal.ts';

const source = (identifier: string): Op => ({
  inputs: [],
  action: { kind: 'source', identifier, attrs: {} },
});
const roundTrip = (op: Op) => {
  const bytes = marshalOp(op);
  return unmarshalOp(bytes, digestOf(bytes));
};

test('every kind of op survives the wire', () => {
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
  const definition = toDefinition(merge([changed, diff(base, exec.root)]), { localUniqueId: 'u' });
  const graph = unmarshalDefinition(decodeDefinition(encodeDefinition(definition)));
  for (const { op, bytes } of graph.vertices.values())
    assert.deepEqual(Buffer.from(marshalOp(op)), Buffer.from(bytes));
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

test('states are not changed by what is built on them', () => {
  const base = image('docker.io/library/a:1');
  const changed = base.env('A', '1').dir('x').user('u');
  assert.deepEqual([base.settings.env.size, base.settings.dir, base.settings.user], [0, '/', '']);
  assert.deepEqual([changed.settings.dir, changed.settings.user], ['/x', 'u']);
});

test('a vertex that is used twice is there once', () => {
  const a = local('c', { sessionId: 's' });
  const { ops } = toDefinition(merge([a.file(files().rm('/x')), a.file(files().rm('/y'))]));
  assert.equal(ops.length, 5);
});

test('a chain longer than the stack is deep is marshalled and read', () => {
  let state = scratch();
  for (let at = 0; at < 20_000; at++) state = state.file(files().mkfile(`/f${at % 10}`, 0o644, ''));
  assert.equal(unmarshalDefinition(toDefinition(state)).vertices.size, 20_000);
});

test('a late tree is decided when the definition is made', () => {
  let path = 'early';
  const late = State.late(() => local('c', { sessionId: 's', followPaths: [path] }));
  const copied = scratch().file(files().copy(late, '/', '/'));
  path = 'late';
  const [first] = [...unmarshalDefinition(toDefinition(copied)).vertices.values()];
  assert.ok(first!.op.action.kind === 'source');
  assert.equal(first!.op.action.attrs['local.followpaths'], '["late"]');
});

test('a definition can be built upon', () => {
  const inner = toDefinition(git('https://h/r.git', { ref: 'v1', name: 'clone' }));
  const outer = unmarshalDefinition(toDefinition(fromDefinition(inner).file(files().rm('/x'))));
  const [first] = [...outer.vertices.values()];
  assert.equal(first!.metadata.description['llb.customname'], 'clone');
  assert.equal(outer.vertices.size, 2);
});

test('a git repository is named without its protocol and user, and fetched with them', () => {
  const sourceOf = (state: State) => {
    const [first] = [...unmarshalDefinition(toDefinition(state)).vertices.values()];
    assert.ok(first!.op.action.kind === 'source');
    return first!.op.action;
  };
  const secrets = { 'git.authtokensecret': 'GIT_AUTH_TOKEN', 'git.authheadersecret': 'GIT_AUTH_HEADER' };
  for (const [remote, identifier, fullUrl, more] of [
    ['https://u:p@h:1/a/r.git', 'git://h:1/a/r.git', 'https://u:p@h:1/a/r.git', {}],
    ['h/r', 'git://h/r', 'https://h/r', {}],
    ['ssh://u@h/r.git', 'git://h/r.git', 'ssh://u@h/r.git', { 'git.mountsshsock': 'default' }],
    ['u@h:r.git', 'git://h/r.git', 'u@h:r.git', { 'git.mountsshsock': 'default' }],
  ] as const) {
    const { attrs, identifier: found } = sourceOf(git(remote));
    assert.deepEqual([found, { ...attrs }], [identifier, { 'git.fullurl': fullUrl, ...secrets, ...more }]);
  }
  const options = { ref: 'v1', subdir: 'd', keepGitDir: true, skipSubmodules: true, checksum: 'abc' };
  const { identifier, attrs } = sourceOf(git('https://h/r.git', { ...options, mtime: 'commit' }));
  assert.equal(identifier, 'git://h/r.git#v1:d');
  assert.deepEqual(
    ['git.keepgitdir', 'git.skipsubmodules', 'git.checksum', 'git.mtime'].map((name) => attrs[name]),
    ['true', 'true', 'abc', 'commit'],
  );
});

test('the empty tree is the empty definition', () => {
  assert.deepEqual(toDefinition(scratch()).ops, []);
  assert.equal(unmarshalDefinition({ ops: [], metadata: new Map() }).result, undefined);
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

test('a step whose working directory or mount target no system call would take is refused', () => {
  const long = `/${'a/'.repeat(100_000)}`;
  const base = image('base');
  const read = (state: State) => unmarshalDefinition(toDefinition(state));
  for (const state of [
    base.dir(long).run(['true']).root,
    base.run(['true'], { mounts: [{ dest: long, type: { kind: 'tmpfs', size: 0 } }] }).root,
  ]) {
    assert.throws(() => read(state), {
      code: 'invalid_argument',
      message: /has 200001 characters, more than 4096/,
    });
  }
});
