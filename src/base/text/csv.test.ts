import assert from 'node:assert/strict';
import test from 'node:test';
import { KilnError } from '../errors.ts';
import { parseCsv } from './csv.ts';

test('fields are split at commas that are not quoted', () => {
  assert.deepEqual(parseCsv('a=1,"b=2,3","say ""x""",'), ['a=1', 'b=2,3', 'say "x"', '']);
  assert.deepEqual(parseCsv('type=image,"name=a,b",push=true'), ['type=image', 'name=a,b', 'push=true']);
  assert.deepEqual(parseCsv(''), ['']);
  assert.deepEqual(parseCsv(','), ['', '']);
  assert.deepEqual(parseCsv('"a\nb"'), ['a\nb']);
});

test('a quote that does not enclose a whole field is refused', () => {
  for (const text of ['a"b', '"a"b', '"open', '"', 'a,"b" ']) {
    assert.throws(
      () => parseCsv(text),
      (error) => error instanceof KilnError && error.code === 'invalid_argument',
      text,
    );
  }
});
