import assert from 'node:assert/strict';
import test from 'node:test';
import { parseChmod } from './chmod.ts';

test('permission bits are octal or symbolic', () => {
  assert.equal(parseChmod('0755'), 0o755);
  assert.equal(parseChmod('u=rwX,go-w'), 'u=rwX,go-w');
  for (const bad of ['8', '10000', 'rwx?', 'u=q']) {
    assert.throws(() => parseChmod(bad), { code: 'invalid_argument' }, bad);
  }
});
