import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parsePlatform } from '../../base/platform.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import type { ResultAttestation } from '../../frontend/result-attestation.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { exportedAttestations, strayAttestations } from './result-attestations.ts';
import { resultPlatforms } from './result-platforms.ts';

const tree = { id: 'solved' } as SolvedRef;
const ref = { id: 'built' } as unknown as ImmutableRef;
const id = 'linux/amd64';

const attestation = (parts: Partial<ResultAttestation<SolvedRef>> = {}): ResultAttestation<SolvedRef> => ({
  kind: 'in-toto',
  metadata: new Map(),
  tree,
  path: '/predicate.json',
  predicateType: 'https://example.com/attestations/v1.0',
  subjects: [],
  ...parts,
});

const exported = (...attestations: readonly ResultAttestation<SolvedRef>[]) =>
  exportedAttestations({ id, attestations }, async () => ref);

describe('the attestations of a result', () => {
  test('get their trees, and what their metadata says about them', async () => {
    const metadata = new Map(
      Object.entries({ reason: 'sbom', 'sbom-core': 'sbom', 'inline-only': 'true', other: 'x' }).map(
        ([key, value]) => [key, Buffer.from(value)] as const,
      ),
    );
    const subjects = [{ kind: 'self', name: undefined }] as const;
    assert.deepEqual(
      await exported(attestation({ subjects }), attestation({ kind: 'bundle', metadata, predicateType: '' })),
      [
        {
          kind: 'in-toto',
          reason: undefined,
          sbomCore: undefined,
          inlineOnly: false,
          predicateType: 'https://example.com/attestations/v1.0',
          subjects,
          path: '/predicate.json',
          predicate: { kind: 'file', ref },
        },
        {
          kind: 'bundle',
          reason: 'sbom',
          sbomCore: 'sbom',
          inlineOnly: true,
          predicateType: undefined,
          ref,
          path: '/predicate.json',
        },
      ],
    );
  });

  test('are refused when they have no files, or claim where the result came from', async () => {
    const cases: readonly [Partial<ResultAttestation<SolvedRef>>, RegExp][] = [
      [{ path: '' }, /linux\/amd64: attestation does not have set path/],
      [{ path: './' }, /attestation does not have set path/],
      [{ path: 'a/../../b' }, /"a\/\.\.\/\.\.\/b" leaves the tree/],
      [{ tree: undefined }, /does not have available content/],
      [{ kind: 'bundle', tree: undefined }, /no ref provided for attestation bundle/],
      [{ predicateType: 'https://slsa.dev/provenance/v1' }, /frontend may not set provenance attestations/],
      [{ predicateType: 'a\nb' }, /invalid predicate type "a\\nb"/],
      [{ predicateType: 'a'.repeat(2_049) }, /invalid predicate type "a{200}"$/],
    ];
    for (const [parts, message] of cases) {
      await assert.rejects(exported(attestation(parts)), { code: 'invalid_argument', message });
    }
  });

  test('are refused when there are too many', async () => {
    await assert.rejects(exported(...new Array(1_001).fill(attestation())), {
      code: 'invalid_argument',
      message: /1001 of them/,
    });
  });

  test('belong to a platform of the result, be it the only one, or go nowhere', () => {
    const attestations = new Map([
      [id, [attestation()]],
      ['linux/s390x', [attestation()]],
    ]);
    const result = { refs: new Map([['', tree]]), metadata: new Map(), attestations };
    const platforms = resultPlatforms(result, parsePlatform(id));
    assert.deepEqual(platforms[0]?.attestations, [attestation()]);
    assert.match(strayAttestations(result, platforms) ?? '', /linux\/s390x are left out.*has linux\/amd64/);
    assert.equal(strayAttestations({ ...result, attestations: undefined }, platforms), undefined);
  });
});
