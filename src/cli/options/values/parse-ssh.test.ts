import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSsh } from './parse-ssh.ts';

test('an SSH source is an agent, keys, or one raw socket', () => {
  assert.deepEqual(parseSsh('default'), { id: 'default', paths: [], raw: false });
  assert.deepEqual(parseSsh('git=k1,k2'), { id: 'git', paths: ['k1', 'k2'], raw: false });
  assert.deepEqual(parseSsh('x=/sock,raw=true'), { id: 'x', paths: ['/sock'], raw: true });
  assert.throws(() => parseSsh('x=raw=true'), { code: 'invalid_argument' });
});
