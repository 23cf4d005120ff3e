import assert from 'node:assert/strict';
import { test } from 'node:test';
import { image, marshalGraph, merge, toGraph, unmarshalDefinition } from './llb.ts';
import { replaceSources } from './replace-sources.ts';

const file = { filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from('FROM a\n') };
const range = { start: { line: 1, character: 0 }, end: { line: 1, character: 6 } };

function example() {
  const kept = image('kept', { name: 'the kept one' });
  const replaced = image('replaced', {
    name: 'the replaced one',
    locations: [{ file, ranges: [range] }],
  });
  const run = replaced.run(['true'], { name: 'a step' });
  return toGraph(merge([run.root, kept]));
}

test('vertices above a replaced source get new names, and keep what was said about them', async () => {
  const before = example();
  const [digest] = [...before.vertices.values()]
    .filter(({ op }) => op.action.kind === 'source' && op.action.identifier.includes('replaced'))
    .map((vertex) => vertex.digest);
  const other = { identifier: 'docker-image://mirror.example/a:1', attrs: { x: 'y' } };

  const after = await replaceSources(before, new Map([[digest!, other]]));
  const vertices = [...after.vertices.values()];

  const source = vertices.find(
    ({ metadata }) => metadata.description['llb.customname'] === 'the replaced one',
  )!;
  assert.deepEqual(source.op.action, { kind: 'source', ...other });
  assert.deepEqual(after.source?.locations.get(source.digest)?.[0]?.ranges, [range]);
  assert.equal(after.source?.locations.has(digest!), false);
  const step = vertices.find(({ metadata }) => metadata.description['llb.customname'] === 'a step')!;
  assert.deepEqual(
    step.op.inputs.map((input) => input.digest),
    [source.digest],
  );
  assert.equal(vertices.length, before.vertices.size);
});

test('vertices have the digests that they have when the graph is marshalled and read', async () => {
  const before = example();
  const [digest] = before.vertices.keys();
  const after = await replaceSources(before, new Map([[digest!, { identifier: 'x://y', attrs: {} }]]));
  const { vertices, result } = unmarshalDefinition(marshalGraph(after));
  assert.deepEqual([...vertices.keys()], [...after.vertices.keys()]);
  assert.deepEqual(result, after.result);
});

test('a graph in which nothing is replaced is the same', async () => {
  const graph = example();
  assert.equal(await replaceSources(graph, new Map()), graph);
});
