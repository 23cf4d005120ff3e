import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeStatement, parseDigestSet, statementSubjects } from './in-toto.ts';

const own = [
  { name: 'pkg:docker/a@1', digest: { sha256: 'aa' } },
  { name: 'pkg:docker/b@1', digest: { sha256: 'aa' } },
];

describe('a statement', () => {
  test('is about the result unless it says otherwise', () => {
    assert.deepEqual(statementSubjects([], own), own);
    assert.deepEqual(
      statementSubjects(
        [
          { kind: 'raw', name: undefined, digest: { sha512: 'bb' } },
          { kind: 'self', name: 'mine' },
        ],
        own,
      ),
      [
        { name: '_', digest: { sha512: 'bb' } },
        own[0],
        { name: 'mine', digest: { sha256: 'aa' } },
        own[1],
        { name: 'mine', digest: { sha256: 'aa' } },
      ],
    );
  });

  test('that names the result again and again is refused', () => {
    const subjects = new Array(300_000).fill({ kind: 'self', name: 'again' });
    assert.throws(() => statementSubjects(subjects, own), {
      code: 'invalid_argument',
      message: /1200000 subjects/,
    });
  });

  test('has the bytes that Go gives it', () => {
    const subjects = [{ name: '<a>', digest: { sha512: 'b', sha256: 'a' } }];
    const text = (predicate: string) =>
      Buffer.from(
        encodeStatement({ predicateType: 't', subjects, predicate: Buffer.from(predicate) }),
      ).toString();
    const head =
      '{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"name":"\\u003ca\\u003e","digest":{"sha256":"a","sha512":"b"}}]';
    assert.equal(text('{"x":1}'), `${head},"predicate":{"x":1}}`);
    assert.equal(text(''), `${head},"predicate":null}`);
  });

  test('names digests of any algorithm, but nothing else', () => {
    assert.deepEqual(parseDigestSet(['sha1:ab', 'sha512+b64u:a_-=']), { sha1: 'ab', 'sha512+b64u': 'a_-=' });
    for (const text of ['', 'sha256', 'sha256:', ':ab', 'SHA:ab', 'sha256:a b']) {
      assert.throws(() => parseDigestSet([text]), { code: 'invalid_argument' });
    }
  });
});
