import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCall } from './parse-call.ts';

test('a call is a question, its format, and whether its status counts', () => {
  assert.equal(parseCall('build'), undefined);
  assert.deepEqual(parseCall('check'), { name: 'lint', format: 'text', ignoreStatus: false });
  assert.deepEqual(parseCall('outline,format=json'), {
    name: 'outline',
    format: 'json',
    ignoreStatus: false,
  });
  assert.deepEqual(parseCall('ignorestatus=1,targets'), {
    name: 'targets',
    format: 'text',
    ignoreStatus: true,
  });
  for (const text of ['', 'a,b', 'check,format=xml', 'check,x=y', 'check,ignorestatus=x']) {
    assert.throws(() => parseCall(text), { code: 'invalid_argument' });
  }
});
