import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAttest } from './parse-attest.ts';

const parsed = (flags: Partial<Parameters<typeof parseAttest>[0]>, environment = {}) =>
  Object.fromEntries(parseAttest({ attest: [], ...flags }, environment));

describe('attestations', () => {
  test('are asked for by their types, with settings', () => {
    assert.deepEqual(
      parsed({
        attest: ['type=sbom,generator=a/b,"x=1,2"', 'mode=max,type=provenance,builder-id=https://b'],
      }),
      { sbom: 'generator=a/b,"x=1,2"', provenance: 'mode=max,builder-id=https://b' },
    );
    assert.deepEqual(parsed({ provenance: 'mode=max', sbom: 'true' }), { provenance: 'mode=max', sbom: '' });
  });

  test('are what the last flag says', () => {
    assert.deepEqual(parsed({ attest: ['type=sbom', 'type=sbom,disabled=true'] }), {});
    assert.deepEqual(parsed({ attest: ['type=provenance,mode=min'], provenance: 'false' }), {});
  });

  test('come with a push, but not against the will of flags or the environment', () => {
    const byDefault = { provenance: 'mode=min,inline-only=true' };
    assert.deepEqual(parsed({ push: true }), byDefault);
    assert.deepEqual(parsed({ push: true }, { BUILDX_NO_DEFAULT_ATTESTATIONS: '0' }), byDefault);
    assert.deepEqual(parsed({ push: true }, { BUILDX_NO_DEFAULT_ATTESTATIONS: '1' }), {});
    assert.deepEqual(parsed({ push: true, provenance: 'false' }), {});
    assert.deepEqual(parsed({ push: true, provenance: 'true' }), { provenance: '' });
  });

  test('are refused without a type, or in other words', () => {
    for (const text of ['mode=max', 'provenance', 'type=']) {
      assert.throws(() => parsed({ attest: [text] }), { code: 'invalid_argument' }, text);
    }
    assert.throws(() => parsed({ push: true }, { BUILDX_NO_DEFAULT_ATTESTATIONS: 'maybe' }), {
      code: 'invalid_argument',
    });
  });
});
