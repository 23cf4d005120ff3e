import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLoad } from './parse-load.ts';

test('--load names what to load into, and where that is', () => {
  assert.deepEqual(parseLoad('docker'), { kind: 'docker', address: undefined, namespace: undefined });
  assert.deepEqual(parseLoad('containerd,namespace=k8s.io,address=unix:///c.sock'), {
    kind: 'containerd',
    address: { kind: 'unix', path: '/c.sock' },
    namespace: 'k8s.io',
  });
  for (const wrong of ['', 'rkt', 'docker,namespace=a', 'podman,address=here', 'docker,address', 'docker,']) {
    assert.throws(() => parseLoad(wrong), { code: 'invalid_argument' }, wrong);
  }
});
