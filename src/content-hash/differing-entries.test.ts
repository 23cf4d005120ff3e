import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseContentEntries } from './content-entry.ts';
import { differingEntries } from './differing-entries.ts';

type Files = Readonly<Record<string, string>>;

const hashed = (files: Files) =>
  Buffer.from(
    ['version\0', 'd\x0040755\x000\x000\0\0\0', 'l\x00120777\x000\x000\0\0to\0']
      .concat(Object.entries(files).map(([name, digest]) => `${name}\x00100644\x000\x000\0\x001 ${digest}\0`))
      .join(''),
  );

const names = (one: Files, other: Files) =>
  differingEntries(hashed(one), hashed(other)).map((part) =>
    parseContentEntries(part).map(({ path }) => path),
  );

test('only entries between the first and the last that differ are left', () => {
  const files = { a: 'aa', b: 'ba', c: 'ca', d: 'da' };
  assert.deepEqual(names(files, files), [[], []]);
  assert.deepEqual(names(files, { ...files, b: 'bb' }), [['b'], ['b']]);
  assert.deepEqual(names(files, { ...files, b: 'x', c: 'x' }), [
    ['b', 'c'],
    ['b', 'c'],
  ]);
  assert.deepEqual(names(files, { ...files, e: 'ea' }), [[], ['e']]);
  assert.deepEqual(names({ ...files, e: 'ea' }, files), [['e'], []]);
  assert.deepEqual(names({}, files), [[], ['a', 'b', 'c', 'd']]);
});

test('entries that end alike, or are like the next one, are whole', () => {
  assert.deepEqual(names({ aa: 'x', b: 'x' }, { a: 'x', b: 'x' }), [['aa'], ['a']]);
  assert.deepEqual(names({ a: '1', aa: '1' }, { aa: '1' }), [['a'], []]);
  assert.deepEqual(names({ a: '1', b: '1' }, { a: '1', ab: '1', b: '1' }), [[], ['ab']]);
});

test('whatever differs is in what is left', () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const tree = () =>
    Object.fromEntries(Array.from({ length: random(6) }, () => ['abc'.slice(random(3)), 'xy'[random(2)]!]));
  for (let round = 0; round < 2_000; round++) {
    const [one, other] = [tree(), tree()];
    const [old, now] = differingEntries(hashed(one), hashed(other));
    const [before, after] = [hashed(one), hashed(other)];
    const cut = before.indexOf(old!);
    assert.ok(cut >= 0 && after.indexOf(now!) >= 0);
    const isWhole = (part: Buffer, files: Files) =>
      parseContentEntries(part).every(
        ({ path, data }) => path in { d: 1, l: 1, ...files } && data !== undefined,
      );
    assert.ok(isWhole(old!, one) && isWhole(now!, other));
    const [left, right] = [parseContentEntries(old!), parseContentEntries(now!)];
    for (const name of new Set([...Object.keys(one), ...Object.keys(other)]))
      if (one[name] !== other[name])
        assert.ok(
          [...left, ...right].some(({ path }) => path === name),
          `${JSON.stringify([one, other])} lacks ${name}`,
        );
  }
});
