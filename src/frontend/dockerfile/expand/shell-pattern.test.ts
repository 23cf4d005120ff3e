import assert from 'node:assert/strict';
import test from 'node:test';
import { ShellPattern } from './shell-pattern.ts';

/** What a pattern matches at the start, as short and as long as it can be; undefined where nothing is taken away. */
function prefixes(pattern: string, value: string) {
  const matcher = new ShellPattern(pattern);
  const taken = (longest: boolean) =>
    value.slice(0, value.length - matcher.removePrefix(value, longest).length);
  return [taken(false), taken(true)];
}

test('the shortest and the longest text at the start are found', () => {
  assert.deepEqual(prefixes('a*b', 'abab'), ['ab', 'abab']);
  assert.deepEqual(prefixes('*a?', 'xaya'), ['xay', 'xay']);
  assert.deepEqual(prefixes('*a?', 'xayazb'), ['xay', 'xayaz']);
  assert.deepEqual(prefixes('a**', 'abc'), ['a', 'abc']);
  assert.deepEqual(prefixes('ab', 'a'), ['', '']);
});

test('the shortest and the longest text at the end are found', () => {
  const pattern = new ShellPattern('a?*');
  assert.equal(pattern.removeSuffix('xabab', false), 'xab');
  assert.equal(pattern.removeSuffix('xabab', true), 'x');
  assert.equal(pattern.removeSuffix('xyz', true), 'xyz');
});

test('neither a star nor a question mark crosses lines', () => {
  assert.deepEqual(prefixes('a*b', 'a\nb'), ['', '']);
  assert.deepEqual(prefixes('a?b', 'a\nb'), ['', '']);
  assert.deepEqual(prefixes('a*\n*b', 'ab\nbb'), ['ab\nb', 'ab\nbb']);
  assert.equal(new ShellPattern('a*b').replace('ab a\nab', '-', true), '- a\n-');
});

test('characters outside of the basic plane are one each', () => {
  assert.deepEqual(prefixes('?', '😀a'), ['😀', '😀']);
  assert.equal(new ShellPattern('').replace('😀a', '-', true), '-😀-a-');
  assert.equal(new ShellPattern('?a').removeSuffix('b😀a', false), 'b');
  assert.equal(new ShellPattern('*?').replace('😀', '-', true), '-');
});

test('a backslash is only one before what it can escape', () => {
  assert.equal(new ShellPattern('\\*\\?\\}\\/\\\\').removePrefix('*?}/\\a', false), 'a');
  for (const pattern of ['\\a', 'a\\', '\\[', '\\\n']) {
    assert.throws(() => new ShellPattern(pattern), { code: 'invalid_argument' }, pattern);
  }
});

test('what matches nothing is replaced between all characters, but not after another match', () => {
  assert.equal(new ShellPattern('').replace('ab', '-', true), '-a-b-');
  assert.equal(new ShellPattern('*').replace('ab\n\nc', '-', true), '-\n-\n-');
  assert.equal(new ShellPattern('').replace('ab', '-', false), '-ab');
});

test('it matches as an expression of the same meaning does', () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const text = (letters: string, length: number) =>
    Array.from({ length: random(length) }, () => letters[random(letters.length)]!).join('');
  for (let round = 0; round < 5_000; round++) {
    const written = text('ab*?\n', 7);
    const value = text('abab\n', 12);
    const source = (star: string) => written.replaceAll('?', '.').replaceAll('*', star);
    const label = JSON.stringify([written, value]);
    const pattern = new ShellPattern(written);
    assert.equal(pattern.removePrefix(value, true), value.replace(new RegExp(`^${source('.*')}`), ''), label);
    assert.equal(
      pattern.removePrefix(value, false),
      value.replace(new RegExp(`^${source('.*?')}`), ''),
      label,
    );
    assert.equal(pattern.replace(value, '-', false), value.replace(new RegExp(source('.*')), '-'), label);
    const end = Array.from({ length: value.length + 1 }, (_, at) => at).filter((at) =>
      new RegExp(`^${source('.*')}$`).test(value.slice(at)),
    );
    assert.equal(pattern.removeSuffix(value, true), value.slice(0, end.at(0) ?? value.length), label);
    assert.equal(pattern.removeSuffix(value, false), value.slice(0, end.at(-1) ?? value.length), label);
  }
});
