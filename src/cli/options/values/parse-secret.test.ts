import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSecret } from './parse-secret.ts';

test('a secret is in a file or in the environment', () => {
  assert.deepEqual(parseSecret('id=a,src=/f', {}), { id: 'a', kind: 'file', path: '/f' });
  assert.deepEqual(parseSecret('id=a,env=V', {}), { id: 'a', kind: 'environment', variable: 'V' });
  assert.deepEqual(parseSecret('type=env,id=a,src=V', {}), { id: 'a', kind: 'environment', variable: 'V' });
  assert.deepEqual(parseSecret('id=a', { a: 'x' }), { id: 'a', kind: 'environment', variable: 'a' });
  assert.deepEqual(parseSecret('id=a', {}), { id: 'a', kind: 'file', path: 'a' });
  for (const text of ['src=/f', 'id=a,mode=1', 'id=a,type=vault', 'a']) {
    assert.throws(() => parseSecret(text, {}), { code: 'invalid_argument' }, text);
  }
});
