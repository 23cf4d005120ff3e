import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGroup, parseId, parsePasswd } from './passwd.ts';

test('passwd and group lines are read, and what is none is left out', () => {
  const text =
    'root:x:0:0:root:/root:/bin/sh\n# comment\n\n  app:x:10:20:,,,:/home:\nbroken:x:-1:0::/:\nshort:x:7\n';
  assert.deepEqual(parsePasswd(text), [
    { name: 'root', uid: 0, gid: 0, home: '/root' },
    { name: 'app', uid: 10, gid: 20, home: '/home' },
  ]);
  assert.deepEqual(parseGroup('wheel:x:1:a,b\nempty:x:2:\nbad:x:y:\n'), [
    { name: 'wheel', gid: 1, members: ['a', 'b'] },
    { name: 'empty', gid: 2, members: [] },
  ]);
});

test('an id is a number that the kernel takes', () => {
  assert.equal(parseId('4294967294'), 4_294_967_294);
  for (const text of ['', '-1', '4294967295', '1e3', '0x1', ' 1', 'root'])
    assert.equal(parseId(text), undefined);
});
