import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goJson, parseRawFields, writeRawFields } from './go-json.ts';

test('strings are escaped as Go escapes them', () => {
  assert.equal(
    goJson({ a: 'x && y > <z>\u2028' }),
    '{"a":"x \\u0026\\u0026 y \\u003e \\u003cz\\u003e\\u2028"}',
  );
});

test('raw fields keep numbers and nested order that a parsed object would lose', () => {
  const text = '{ "b": {"9": 1, "10": [12345678901234567890, "{,}:\\""] }, "a": "", "c": null, "d": [] }';
  const fields = parseRawFields(text, 'config');
  assert.equal(fields.get('b'), '{"9":1,"10":[12345678901234567890,"{,}:\\""]}');
  assert.equal(
    writeRawFields(fields),
    '{"a":"","b":{"9":1,"10":[12345678901234567890,"{,}:\\""]},"c":null,"d":[]}',
  );
});

test('an empty object has no fields, and what is no object is refused', () => {
  assert.equal(writeRawFields(parseRawFields(' {} ', 'config')), '{}');
  for (const text of ['', '[]', 'null', '{"a":}']) {
    assert.throws(() => parseRawFields(text, 'config'), {
      code: 'invalid_argument',
      message: /^config is not/,
    });
  }
});
