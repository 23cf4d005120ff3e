import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { withSource } from './with-source.ts';

const vertex = digestOf('vertex');
const range = { start: { line: 2, character: 0 }, end: { line: 2, character: 4 } };
const text = { filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from('FROM a\nRUN b\n') };
const source = { files: [text], locations: new Map([[vertex, [{ file: 0, ranges: [range] }]]]) };

test('the error of a vertex says where the vertex was written', () => {
  const error = new KilnError('unknown', 'it failed', { details: [{ kind: 'vertex', digest: vertex }] });
  const located = withSource(error, { source });
  assert.equal(located.message, 'it failed');
  assert.deepEqual(located.details.at(-1), { kind: 'source', ...text, ranges: [range] });
});

test('an error that has a place already, or whose vertex has none, stays as it is', () => {
  const elsewhere = new KilnError('unknown', 'it failed', {
    details: [
      { kind: 'vertex', digest: vertex },
      { kind: 'source', ...text, ranges: [] },
    ],
  });
  assert.equal(withSource(elsewhere, { source }), elsewhere);
  const unknown = new KilnError('unknown', 'it failed', {
    details: [{ kind: 'vertex', digest: digestOf('other') }],
  });
  assert.equal(withSource(unknown, { source }), unknown);
  assert.equal(withSource(unknown, {}), unknown);
});
