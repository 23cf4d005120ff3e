import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExportCache, parseImportCache } from './parse-cache.ts';

test('remote caches are references or types with attributes', () => {
  assert.deepEqual(parseExportCache('example.test/cache', {}), {
    type: 'registry',
    attributes: { mode: 'min', ref: 'example.test/cache' },
  });
  assert.deepEqual(parseExportCache('type=local,dest=d,mode=max', {}).attributes, { dest: 'd', mode: 'max' });
  assert.deepEqual(parseImportCache('type=local,src=d', {}), { type: 'local', attributes: { src: 'd' } });
  assert.throws(() => parseImportCache('type=gha', {}), { code: 'invalid_argument' });
  const runner = { ACTIONS_CACHE_URL: 'http://cache', ACTIONS_RUNTIME_TOKEN: 'token' };
  assert.deepEqual(parseImportCache('type=gha', runner).attributes, { url: 'http://cache', token: 'token' });
});
