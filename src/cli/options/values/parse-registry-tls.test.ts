import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryTls } from './parse-registry-tls.ts';

test('TLS for registries adds up by host', () => {
  const contexts = parseRegistryTls([
    'host=https://a,ca=1',
    'host=https://a,cert=c,key=k',
    'host=b,insecure=true',
  ]);
  assert.deepEqual(contexts.get('https://a'), {
    insecure: false,
    caFiles: ['1'],
    keyPairs: [{ certificate: 'c', key: 'k' }],
  });
  assert.equal(contexts.get('b')?.insecure, true);
  for (const text of ['ca=1', 'host=a', 'host=a,ca=1,key=k'])
    assert.throws(() => parseRegistryTls([text]), { code: 'invalid_argument' });
});
