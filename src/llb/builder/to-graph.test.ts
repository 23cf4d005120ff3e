import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  files,
  fromDefinition,
  git,
  image,
  local,
  merge,
  type OpGraph,
  State,
  scratch,
  toDefinition,
  toGraph,
  unmarshalDefinition,
} from '../llb.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const environments = ({ vertices }: OpGraph) =>
  [...vertices.values()].flatMap(({ op: { action } }) => (action.kind === 'exec' ? [action.meta.env] : []));

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

test('processes with the same environment share its list', () => {
  const state = scratch()
    .env('A', '1')
    .run(['a'])
    .root.dir('/d')
    .run(['b'])
    .root.env('A', '2')
    .run(['c']).root;
  const [first, second, third] = environments(toGraph(state));
  assert.equal(first, second);
  assert.deepEqual([first, third], [['A=1'], ['A=2']]);
});

test('different environments share the texts of the variables that they have in common', () => {
  let state = scratch().env('A', 'x'.repeat(100_000));
  for (let at = 0; at < 500; at++) state = state.env('B', `${at}`).run(['a']).root;
  const before = heapUsed();
  const graph = toGraph(state);
  assert.ok(heapUsed() - before < 10_000_000);
  assert.equal(environments(graph).length, 500);
});

test('a definition can be built upon', () => {
  const inner = toDefinition(git('https://h/r.git', { ref: 'v1', name: 'clone' }));
  const outer = unmarshalDefinition(toDefinition(fromDefinition(inner).file(files().rm('/x'))));
  const [first] = [...outer.vertices.values()];
  assert.equal(first!.metadata.description['llb.customname'], 'clone');
  assert.equal(outer.vertices.size, 2);
});

test('files of the source map that are equal are one file, whoever names them, and very many are told apart', () => {
  const count = 30_000;
  const fileOf = (name: number) => ({ filename: `${name}`, language: '', data: Buffer.from('FROM x') });
  const located = (names: readonly number[]) =>
    image('docker.io/library/a:1', {
      locations: names.map((name) => ({ file: fileOf(name), ranges: [] })),
    });
  const definition = toDefinition(located(Array.from({ length: count }, (_, name) => name)));
  const { source } = toGraph(merge([fromDefinition(definition), located([7, count])]));
  assert.equal(source!.files.length, count + 1);
  const [places] = [...source!.locations.values()];
  assert.deepEqual(
    places!.map(({ file }) => source!.files[file]!.filename),
    [...Array.from({ length: count }, (_, name) => `${name}`), '7', `${count}`],
  );
});

test('the empty tree is the empty definition', () => {
  assert.deepEqual(toDefinition(scratch()).ops, []);
  assert.equal(unmarshalDefinition({ ops: [], metadata: new Map() }).result, undefined);
});
