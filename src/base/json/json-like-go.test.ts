import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { respacedJson } from './respaced-json.ts';
import { sortedJson } from './sorted-json.ts';

const respaced = (text: string, indent?: number) =>
  Buffer.from(respacedJson(Buffer.from(text), 'it', { indent })).toString();

describe('JSON given as text', () => {
  test('loses its white space, and keeps all else but what Go escapes', () => {
    assert.equal(
      respaced(' { "b" : [ 1.0, 12345678901234567890 ,\n"x \\" y < > & \u2028\u2029\u20ac" ] , "a":{ } } '),
      '{"b":[1.0,12345678901234567890,"x \\" y \\u003c \\u003e \\u0026 \\u2028\\u2029\u20ac"],"a":{}}',
    );
  });

  test('gets new lines and indentation, except inside what is empty', () => {
    assert.equal(
      respaced('{"a":[],"b":{"c":[1,{}]},"d":"[,:"}', 2),
      '{\n  "a": [],\n  "b": {\n    "c": [\n      1,\n      {}\n    ]\n  },\n  "d": "[,:"\n}',
    );
  });

  test('is refused when it is none, or nested too deeply', () => {
    for (const text of ['', '{', '{} {}', "{'a':1}", '[1,]', '"\n"']) {
      assert.throws(() => respaced(text), { code: 'invalid_argument', message: /^it is not JSON/ });
    }
    const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    assert.equal(respaced(deep(1_000)), deep(1_000));
    assert.throws(() => respaced(deep(1_001)), { message: 'it is nested more than 1000 levels deep' });
  });
});

describe('a parsed value', () => {
  const written = (text: string) => sortedJson(JSON.parse(text), 'it');

  test('has its keys sorted by their bytes, numbers among them', () => {
    assert.equal(
      written('{"10":1,"9":2,"b":{"\u{1f600}":1,"\uff5e":2},"__proto__":[null,true,1e21,1e-7,0.5,"<"]}'),
      '{"10":1,"9":2,"__proto__":[null,true,1e+21,1e-7,0.5,"\\u003c"],"b":{"\uff5e":2,"\u{1f600}":1}}',
    );
  });

  test('is refused when Go cannot hold it', () => {
    assert.throws(() => written('[1e999]'), { message: 'it has a number that is out of range' });
    assert.throws(() => written('['.repeat(1_002) + ']'.repeat(1_002)), { message: /nested more than 1000/ });
  });
});
