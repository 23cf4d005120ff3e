import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce } from '../async/in-turns.ts';
import { type JsonParts, type JsonStepsOptions, jsonMap, jsonSteps, nonEmpty } from './json-steps.ts';

const text = (value: JsonParts, options?: JsonStepsOptions) => utf8(atOnce(jsonSteps(value, options)));
const utf8 = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');

test('JSON is written as Go writes it with two spaces', () => {
  const value = { a: [1, 'x', null, [], {}], b: { c: true, left: undefined }, d: [{ e: -1.5 }, []] };
  assert.equal(text(value), JSON.stringify(value, undefined, 2));
  assert.equal(text('<&>\u2028'), '"\\u003c\\u0026\\u003e\\u2028"');
  assert.equal(text({ big: 9_007_199_254_740_993n }), '{\n  "big": 9007199254740993\n}');
});

test('parts are made in their turn, and steps lie between them', () => {
  const made: string[] = [];
  const part = (name: string) => () => {
    made.push(name);
    return { name };
  };
  const steps = jsonSteps({
    first: 1,
    list: [part('a'), part('b')],
    inner: { deep: [{ list: [part('c')] }] },
  });
  let count = 0;
  for (;;) {
    const step = steps.next();
    if (step.done) {
      const expected = {
        first: 1,
        list: [{ name: 'a' }, { name: 'b' }],
        inner: { deep: [{ list: [{ name: 'c' }] }] },
      };
      assert.equal(utf8(step.value), JSON.stringify(expected, undefined, 2));
      break;
    }
    assert.equal(made.length, count++);
  }
  assert.deepEqual(made, ['a', 'b', 'c']);
});

test('long texts are whole, with nested lists in their places and characters of any length', () => {
  const value = Array.from({ length: 5_000 }, (_, index) => [index, { 'ключ\n': ['𝄞\n', `é${index}`] }]);
  assert.equal(text(value), JSON.stringify(value, undefined, 2));
  assert.equal(
    text({ list: value.map((item) => () => item) }),
    JSON.stringify({ list: value }, undefined, 2),
  );
});

test('strings can be written as others, keys cannot', () => {
  const options = { text: (value: string) => value.toUpperCase() };
  const value = { a: ['b'], x: () => ({ c: 'd' }) };
  const expected = { a: ['B'], x: { c: 'D' } };
  assert.equal(text(value, options), JSON.stringify(expected, undefined, 2));
});

test('zero values are left out, and maps are sorted', () => {
  assert.deepEqual(nonEmpty({ a: 0, b: '', c: false, d: [], e: {}, f: 0n, g: undefined, h: 1 }), {
    e: {},
    h: 1,
  });
  assert.equal(
    text(
      jsonMap([
        ['b', 1],
        ['__proto__', 2],
        ['a', 3],
        ['\u{1f600}', 4],
        ['\uff5e', 5],
      ])!,
    ),
    '{\n  "__proto__": 2,\n  "a": 3,\n  "b": 1,\n  "\uff5e": 5,\n  "\u{1f600}": 4\n}',
  );
  assert.equal(jsonMap([]), undefined);
});
