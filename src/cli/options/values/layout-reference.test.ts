import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatLayoutReference, parseLayoutReference } from './layout-reference.ts';

test('an OCI layout reference is taken apart from its end', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  assert.deepEqual(parseLayoutReference('oci-layout:///x/y'), {
    directory: '/x/y',
    tag: undefined,
    digest: undefined,
  });
  assert.deepEqual(parseLayoutReference(`oci-layout://a@b/c:1.3@${digest}`), {
    directory: 'a@b/c',
    tag: '1.3',
    digest,
  });
  assert.equal(parseLayoutReference('docker-image://a'), undefined);
  assert.equal(formatLayoutReference('store', { tag: 't', digest }), `oci-layout://store:t@${digest}`);
});
