import assert from 'node:assert/strict';
import { it } from 'node:test';
import { digestOf, parseDigest } from '../base/digest.ts';
import { contentKey, derivedKey, recordDigest, recordOfKey, rootKey } from './cache-key.ts';

const operation = parseDigest(`sha256:${'ab'.repeat(32)}`);

it('keys that no other key leads to are digests of the records that BuildKit writes for them', () => {
  // Of `sha256:abab…@0`, `…@1` and `…@-1`, as sha256sum says.
  assert.equal(rootKey(operation, 0), recordDigest(operation, 0));
  assert.equal(
    rootKey(operation, 0),
    'sha256:3de952f4b0e0fab5dd0d34875e4698477e075f8f70bea4cf2fa898afdfe1b373',
  );
  assert.equal(
    contentKey(operation),
    'sha256:7c9c5e9ef3531db48035effbc28da8d99bb158fe991b5eadd9dd2b9382c15746',
  );
  assert.equal(recordOfKey(contentKey(operation)), recordDigest(operation, -1));
});

it('a derived key tells its inputs apart, and is no record', () => {
  const [base, other] = [rootKey(digestOf('base'), 0), contentKey(digestOf('files'))];
  const key = derivedKey(operation, 0, [{ id: base, selector: undefined }]);
  const keys = [
    key,
    derivedKey(operation, 0, []),
    derivedKey(operation, 1, [{ id: base, selector: undefined }]),
    derivedKey(operation, 0, [{ id: base, selector: digestOf('/etc') }]),
    derivedKey(operation, 0, [{ id: other, selector: undefined }]),
    derivedKey(operation, 0, [
      { id: base, selector: undefined },
      { id: base, selector: undefined },
    ]),
  ];
  assert.equal(new Set(keys).size, keys.length);
  for (const each of keys) assert.equal(recordOfKey(each), undefined);
});
