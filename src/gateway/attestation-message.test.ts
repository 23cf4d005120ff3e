import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { AttestationsSchema } from '../api/gen/gateway_pb.js';
import type { ResultAttestations } from '../frontend/result-attestation.ts';
import { attestationsFromMessage, attestationsToMessage } from './attestation-message.ts';

type Attestation = NonNullable<MessageInitShape<typeof AttestationsSchema>['attestations']>[number];

const read = (...attestations: readonly Attestation[]) =>
  attestationsFromMessage(
    { 'linux/amd64': create(AttestationsSchema, { attestations: [...attestations] }) },
    (id) => {
      assert.equal(id, 'tree');
      return id;
    },
  );

describe('attestations in messages', () => {
  test('come back as they went', async () => {
    const attestations: ResultAttestations<string> = new Map([
      [
        'linux/amd64',
        [
          {
            kind: 'in-toto',
            metadata: new Map([['reason', new Uint8Array([1, 2])]]),
            tree: 'tree',
            path: '/predicate.json',
            predicateType: 'https://example.com/v1',
            subjects: [
              { kind: 'self', name: undefined },
              { kind: 'raw', name: 'file', digest: { sha256: 'ab', sha512: 'cd' } },
            ],
          },
          {
            kind: 'bundle',
            metadata: new Map(),
            tree: undefined,
            path: '',
            predicateType: '',
            subjects: [],
          },
        ],
      ],
    ]);
    const message = await attestationsToMessage(attestations, async (tree) => ({ id: tree ?? '' }));
    const entries = Object.entries(message).map(
      ([id, all]) => [id, create(AttestationsSchema, all)] as const,
    );
    assert.deepEqual(
      attestationsFromMessage(Object.fromEntries(entries), (id) => id),
      attestations,
    );
  });

  test('are refused with kinds, subjects and digests that nobody knows', () => {
    const cases: readonly [Attestation, RegExp][] = [
      [{ kind: 7 as never, path: 'a' }, /attestation a is of an unknown kind: 7/],
      [{ inTotoSubjects: [{ kind: 9 as never }] }, /unknown attestation subject type 9/],
      [{ inTotoSubjects: [{ kind: 1, digests: ['sha256'] }] }, /invalid digest "sha256"/],
      [{ path: 'a', inTotoSubjects: new Array(100_001).fill({}) }, /attestation a has 100001 subjects/],
    ];
    for (const [attestation, message] of cases) {
      assert.throws(() => read(attestation), { code: 'invalid_argument', message });
    }
  });

  test('are of trees that the client was given', () => {
    assert.throws(
      () =>
        attestationsFromMessage(
          { '': create(AttestationsSchema, { attestations: [{ ref: { id: 'theirs' } }] }) },
          (id) => {
            throw new Error(`no such ref ${id}`);
          },
        ),
      /no such ref theirs/,
    );
  });
});
