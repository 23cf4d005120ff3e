import assert from 'node:assert/strict';
import { test } from 'node:test';
import { files, image, imageBlob, local, passthrough, scratch, splitCommand, toGraph } from '../llb.ts';

const base = image('alpine');

test('a mount gives its files on, unless nothing is kept of it', () => {
  const from = local('context').dir('/there').env('A', '1');
  const run = base.dir('/here').run('make', {
    mounts: [
      { dest: '/a', from },
      { dest: '/b', from, readonly: true },
      { dest: '/c', from, noOutput: true },
      { dest: '/d', type: { kind: 'cache', id: 'd', sharing: 'shared' } },
      { dest: '/e', type: { kind: 'tmpfs', size: 0 } },
    ],
  });
  assert.deepEqual(run.mount('/a').settings, from.settings);
  assert.notEqual(run.mount('/a').output, from.output);
  assert.equal(run.mount('/b').output, from.output);
  for (const dest of ['/c', '/d', '/e', '/f']) {
    assert.throws(() => run.mount(dest), { code: 'invalid_argument', message: new RegExp(dest) });
  }
});

test('mounts at the same place have outputs of their own', () => {
  const run = base.run('make', { mounts: [{ dest: '/a' }, { dest: '/a' }, { dest: '/b' }] });
  const { vertices } = toGraph(run.root);
  const { action } = [...vertices.values()].at(-1)!.op;
  assert.ok(action.kind === 'exec');
  assert.deepEqual(
    action.mounts.map(({ output }) => output),
    [0, 1, 2, 3],
  );
  assert.deepEqual(
    [run.mount('/a'), run.mount('/b')].map(({ output }) => output?.kind === 'fixed' && output.index),
    [1, 3],
  );
});

test('what makes no sense is refused where it is written', () => {
  const tmpfs = [{ dest: '/t', from: base, type: { kind: 'tmpfs' as const, size: 0 } }];
  const attempts: readonly (readonly [() => unknown, RegExp])[] = [
    [() => base.run(''), /at least one argument/],
    [() => base.run('sh -c "x'), /a " is not closed/],
    [() => base.run('a\\'), /nothing follows the backslash/],
    [() => base.run('x', { mounts: tmpfs }), /\/t is a tmpfs/],
    [() => base.file(files()), /at least one change/],
    [() => base.file(files().copy(files().on(base), '/', '/')), /at least one change/],
    [() => image('Not A Name'), /invalid image reference "Not A Name"/],
    [() => image('a', { checksum: 'sha256:1' }), /sha256:1/],
    [() => imageBlob('alpine:1'), /needs a digest, and no tag/],
    [() => scratch().build(), /not the empty one/],
    [() => passthrough('', [{ tree: base, output: true }]), /needs an id/],
    [() => passthrough('x', [{ tree: base }, { tree: scratch(), output: true }]), /that it gives on/],
    [() => base.withImageConfig('{'), /config of the image is not JSON/],
    [() => base.withImageConfig('{"config":{"Env":[1]}}'), /its Env is not a list of texts/],
    [() => base.withImageConfig('{"config":{"WorkingDir":{}}}'), /its WorkingDir is not a text/],
  ];
  for (const [attempt, message] of attempts) {
    assert.throws(attempt, { name: 'KilnError', code: 'invalid_argument', message });
  }
});

test('commands are split as shells split them', () => {
  for (const [text, words] of [
    ['', []],
    [' \t\r\n', []],
    ['a  b\nc', ['a', 'b', 'c']],
    [`'a b'"c d"e`, ['a bc de']],
    ['""', ['']],
    [`"a\\"b\\\\" 'a\\b' a\\ b`, ['a"b\\', 'a\\b', 'a b']],
    ['a#b # c\nd', ['a#b', 'd']],
  ] as const) {
    assert.deepEqual(splitCommand(text), words);
  }
});

test('changes that read changes are nested as deep as one likes', () => {
  let changes = files().mkdir('/x', 0o755);
  for (let depth = 0; depth < 10_000; depth++) changes = files().copy(changes.on(base), '/x', '/x');
  const { vertices } = toGraph(scratch().file(changes));
  const { action } = [...vertices.values()].at(-1)!.op;
  assert.ok(action.kind === 'file');
  assert.equal(action.actions.length, 10_001);
  assert.deepEqual([action.actions[1]!.input, action.actions[1]!.secondaryInput], [0, 1]);
});

test('states are changed by nobody', () => {
  const env = { A: '1' };
  const run = base.run('x', { env });
  env.A = '2';
  const { vertices } = toGraph(run.root);
  const { action } = [...vertices.values()].at(-1)!.op;
  assert.ok(action.kind === 'exec');
  assert.deepEqual(action.meta.env, ['A=1']);
  assert.ok(Object.isFrozen(base) && Object.isFrozen(base.settings));
});
