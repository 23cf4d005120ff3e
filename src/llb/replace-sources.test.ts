import assert from 'node:assert/strict';
import { test } from 'node:test';
import { image, merge, toDefinition, unmarshalDefinition } from './llb.ts';
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
  return toDefinition(merge([run.root, kept]));
}

test('vertices above a replaced source get new names, and keep what was said about them', () => {
  const definition = example();
  const before = unmarshalDefinition(definition);
  const [digest] = [...before.vertices.values()]
    .filter(({ op }) => op.action.kind === 'source' && op.action.identifier.includes('replaced'))
    .map((vertex) => vertex.digest);
  const other = { identifier: 'docker-image://mirror.example/a:1', attrs: { x: 'y' } };

  const after = replaceSources(definition, new Map([[digest!, other]]));
  const vertices = [...unmarshalDefinition(after).vertices.values()];

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

test('a definition in which nothing is replaced is the same', () => {
  const definition = example();
  assert.equal(replaceSources(definition, new Map()), definition);
});
