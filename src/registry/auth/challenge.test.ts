import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenges } from './challenge.ts';

test('a bearer challenge is read with its quoted parameters', () => {
  assert.deepEqual(
    parseChallenges('Bearer realm="https://auth.example/token",service="a b",scope="repository:x:pull,push"'),
    [
      {
        scheme: 'bearer',
        parameters: { realm: 'https://auth.example/token', service: 'a b', scope: 'repository:x:pull,push' },
      },
    ],
  );
});

test('several challenges in one header are kept apart', () => {
  assert.deepEqual(parseChallenges('Negotiate, Basic realm="x \\"y\\"", Bearer realm=z'), [
    { scheme: 'negotiate', parameters: {} },
    { scheme: 'basic', parameters: { realm: 'x "y"' } },
    { scheme: 'bearer', parameters: { realm: 'z' } },
  ]);
  assert.deepEqual(parseChallenges(''), []);
});
