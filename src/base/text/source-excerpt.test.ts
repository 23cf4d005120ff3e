import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceExcerpt } from './source-excerpt.ts';

const data = Buffer.from(Array.from({ length: 9 }, (_, index) => `line ${index + 1}`).join('\n'));
const range = (start: number, end: number) => ({
  start: { line: start, character: 0 },
  end: { line: end, character: 0 },
});

test('an excerpt shows the lines around a location and marks its own', () => {
  assert.equal(
    sourceExcerpt({ filename: 'Dockerfile', data, ranges: [range(4, 4)] }),
    `Dockerfile:4
--------------------
   2 |     line 2
   3 |     line 3
   4 | >>> line 4
   5 |     line 5
   6 |     line 6
--------------------
`,
  );
});

test('at the edges of the text the excerpt ends', () => {
  const excerpt = sourceExcerpt({ filename: 'f', data, ranges: [range(8, 9)] });
  assert.match(excerpt!, /^f:8\n-+\n {3}7 \| {5}line 7\n {3}8 \| >>> line 8\n {3}9 \| >>> line 9\n-+\n$/);
  assert.equal(sourceExcerpt({ filename: 'f', data, ranges: [range(10, 10)] }), undefined);
  assert.equal(sourceExcerpt({ filename: 'f', data, ranges: [] }), undefined);
  assert.equal(
    sourceExcerpt({ filename: 'f', data: Buffer.from('only'), ranges: [range(1, 1)] })?.split('\n').length,
    5,
  );
});
