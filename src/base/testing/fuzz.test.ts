import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';

const task = new URL('./slow-cases.task.ts', import.meta.url);

test('a case that does not end is named', async () => {
  const failure = await fuzz({ firstSeed: -2, count: 5, task, patience: 500 });
  assert.deepEqual(failure, { seed: 0, report: 'it has not ended after 0.5 s' });
});

test('cases that take longer together than one may take are not stuck', async () => {
  assert.equal(await fuzz({ firstSeed: 1, count: 30, task, patience: 2000 }), undefined);
});
