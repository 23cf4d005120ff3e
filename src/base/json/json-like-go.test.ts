import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkJsonBounds } from './json-bounds.ts';
import { respacedJson } from './respaced-json.ts';
import { sortedJson } from './sorted-json.ts';

const respaced = (text: string, indent?: number) =>
  Buffer.from(respacedJson(Buffer.from(text), { indent })).toString();

const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

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
});

describe('JSON before it is parsed', () => {
  const check = (text: string) => checkJsonBounds(Buffer.from(text), 'it');

  test('is refused when it is nested too deeply', () => {
    check(deep(1_000));
    assert.throws(() => check(deep(1_001)), {
      code: 'invalid_argument',
      message: 'it is nested more than 1000 levels deep',
    });
    assert.throws(() => check('['.repeat(1_001)), { message: /levels deep/ });
    assert.throws(() => check('{"":'.repeat(1_001)), { message: /levels deep/ });
  });

  test('is refused when it has too many values, which no string has', () => {
    check(`["${'[,\\"{'.repeat(500_000)}"]`);
    check(`[${'1,'.repeat(1_999_997)}1]`);
    for (const value of ['1,', '{},', '[],', '[[]],', '{"a":[1,{}]},']) {
      assert.throws(() => check(`[${value.repeat(2_000_000)}1]`), {
        code: 'invalid_argument',
        message: 'it has more than 2000000 values',
      });
    }
  });
});

describe('a parsed value', () => {
  const written = (text: string) => sortedJson(JSON.parse(text), 'it');

  test('has its keys sorted by their bytes, numbers among them', () => {
    assert.equal(
      written('{"10":1,"9":2,"b":{"\u{1f600}":1,"\uff5e":2},"__proto__":[null,true,1e21,1e-7,-0,0.5,"<"]}'),
      '{"10":1,"9":2,"__proto__":[null,true,1e+21,1e-7,-0,0.5,"\\u003c"],"b":{"\uff5e":2,"\u{1f600}":1}}',
    );
  });

  test('is refused when Go cannot hold it', () => {
    assert.throws(() => written('[1e999]'), { message: 'it has a number that is out of range' });
  });
});
