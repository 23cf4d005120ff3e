import assert from 'node:assert/strict';
import test from 'node:test';
import { parseCsv } from './csv.ts';

test('CSV fields can be quoted as a whole', () => {
  assert.deepEqual(parseCsv('a=b,"c,""d""",'), ['a=b', 'c,"d"', '']);
  assert.throws(() => parseCsv('a"b'), { code: 'invalid_argument' });
});
