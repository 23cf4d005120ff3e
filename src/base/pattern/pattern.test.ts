import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { KilnError } from '../errors.ts';
import { hasWildcard, matchGlob, PatternMatcher } from './pattern.ts';

const isMalformed = (error: unknown) => error instanceof KilnError && error.code === 'invalid_argument';

test('a glob matches a whole name, and wildcards stop at slashes', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['abc', 'abc', true],
    ['*', 'abc', true],
    ['*', '.hidden', true],
    ['*c', 'abc', true],
    ['a*', 'ab/c', false],
    ['a*/b', 'a/c/b', false],
    ['a*b?c*x', 'abxbbxdbxebxczzx', true],
    ['a*b?c*x', 'abxbbxdbxebxczzy', false],
    ['ab[c]', 'abc', true],
    ['ab[e-g]', 'abc', false],
    ['ab[^c]', 'abc', false],
    ['a[!b]c', 'a!c', true],
    ['a[^a]b', 'a/b', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'axb', false],
    ['a?b', 'a☺b', true],
    ['a?b', 'a/b', false],
    ['[a-ζ]*', 'α', true],
    ['[\\]a]', ']', true],
    ['[\\-x]', '-', true],
    ['{a,b}', 'a', false],
    ['{a,b}', '{a,b}', true],
    ['+(a)|$^.', '+(a)|$^.', true],
    ['a.c', 'abc', false],
    ['a\nb*', 'a\nbc', true],
    ['', '', true],
    ['', 'x', false],
    ['**', 'a', true],
    ['**', 'a/b', false],
    ['a**b', 'a/b', false],
    ['*[^a]', 'b', true],
    ['*a*a*a*b', 'aaaaaaab', true],
    ['*a*a*a*b', 'aaaaaaa', false],
    ['*/*/*.c', 'a/b/x.c', true],
    ['?[^b]?', 'a/c', true],
    ['[^/]', '/', false],
    ['a*', 'a\nb', true],
    ['?', '\n', true],
    ['[a-\\]]', '\\', false],
    ['[\\]-a]', '^', true],
    ['[b-a]', 'a', false],
    ['[^b-a]', 'a', true],
    ['*.tar.?z', 'x.tar.gz', true],
    ['**.tar', 'x.y.tar', true],
    ['[*]', '*', true],
    ['[?]', 'a', false],
    ['[[]', '[', true],
    ['[[a]', 'a', true],
  ];
  for (const [pattern, name, expected] of cases) {
    assert.equal(matchGlob(pattern, name), expected, `${pattern} ~ ${name}`);
  }
});

test('a malformed glob is refused by name', () => {
  for (const pattern of ['[', '[^', 'a[', '[]a]', '[-]', '[x-]', '[-x]', '[a-b-c]', 'a\\', '[\\', '[a-']) {
    assert.throws(() => matchGlob(pattern, 'a'), isMalformed, pattern);
    assert.throws(() => new PatternMatcher(['ok', pattern]), isMalformed, pattern);
  }
  assert.throws(() => new PatternMatcher(['!']), isMalformed);
  assert.throws(() => new PatternMatcher(['a[']), /malformed pattern "a\["/);
});

test('patterns that can match in more ways than there is time for are matched at once', () => {
  const stars = 'a*'.repeat(1_000);
  const names = ['a'.repeat(1_000), `${'a'.repeat(1_000)}c`];
  for (const pattern of [
    `${stars}b`,
    `**/${stars}b`,
    `${'**/'.repeat(1_000)}b`,
    `${'[^b]*'.repeat(1_000)}b`,
  ]) {
    for (const name of [...names, 'a/'.repeat(1_000)]) {
      assert.equal(matchGlob(pattern, name), false);
      assert.equal(new PatternMatcher([pattern]).matches(name), false);
    }
  }
});

test('little is remembered of a pattern that can be in very many places', async () => {
  const matching = `import(${JSON.stringify(new URL('./pattern.ts', import.meta.url))})
    .then(({ compileGlob }) => compileGlob('*a'.repeat(4_000) + 'b')('a'.repeat(4_000)));`;
  // All that was looked at would be 180 MB.
  const thread = new Worker(matching, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 64 } });
  assert.deepEqual(await once(thread, 'exit'), [0]);
});

test('a path with very many parents is looked at once', () => {
  const path = 'a/'.repeat(200_000);
  for (const pattern of ['**/*b', '**/b', 'a/**/*/b*', 'b'])
    assert.equal(new PatternMatcher([pattern]).matches(`${path}a`), false);
  assert.equal(new PatternMatcher(['**/b*']).matches(`${path}b/c`), true);
});

test('hasWildcard knows an escaped star from a real one', () => {
  assert.equal(hasWildcard('a/b\\*'), false);
  assert.equal(hasWildcard('a/b*'), true);
  assert.equal(hasWildcard('a/[b]'), true);
});

test('a pattern list selects paths and what lies below them', () => {
  const cases: readonly (readonly [readonly string[], string, boolean])[] = [
    [['**'], 'file', true],
    [['**'], 'dir/file', true],
    [['**/'], 'dir/file', true],
    [['**/**'], 'dir/file', true],
    [['dir/**'], 'dir/file', true],
    [['dir/**'], 'dir', false],
    [['dir**'], 'dir/a/b', true],
    [['dir**'], 'directory', true],
    [['**/dir2/*'], 'dir/dir2/file', true],
    [['**/dir2/*'], 'dir/dir2', false],
    [['**file'], 'dir/afile', true],
    [['**/file'], 'file', true],
    [['**/file'], 'dir/file', true],
    [['**/file'], 'dir/afile', false],
    [['**/f*'], 'a/b/foo', true],
    [['**/*.txt'], 'a.txt', true],
    [['a**/*.txt'], 'a/dir/dir/file.txt', true],
    [['a/*.txt'], 'a/dir/file.txt', false],
    [['a/**/b'], 'a/b', true],
    [['a/**/b'], 'a/x/y/b', true],
    [['a/**/b'], 'a/x/y/b/c', true],
    [['node_modules'], 'node_modules/x/y', true],
    [['node_modules'], 'x/node_modules', false],
    [['./dir/'], 'dir/file', true],
    [['  dir  '], 'dir', true],
    [['a/../b'], 'b', true],
    [['', ' '], 'x', false],
    [['.git'], '.gitignore', false],
    [['*'], '.git', true],
    [['a[b-d]e'], 'ace', true],
    [['abc.def'], 'abcZdef', false],
    [['**/foo/bar'], 'dir/dir2/foo/bar', true],
    [['*', '!*.md'], 'readme.md', false],
    [['*', '!*.md', 'readme.md'], 'readme.md', true],
    [['dir', '!dir/keep'], 'dir/keep', false],
    [['dir', '!dir/keep'], 'dir/keep/below', false],
    [['dir', '!dir/keep'], 'dir/other', true],
    [['dir', '!dir/keep', 'dir'], 'dir/keep', true],
    [['!dir/keep', 'dir'], 'dir/keep', true],
    [['**', '!a/**', 'a/b'], 'a/b/c', true],
    [['**', '!a/**', 'a/b'], 'a/c', false],
    [['{a,b}'], 'a', false],
    [['\\!x'], '!x', true],
    [['dir/**'], 'dir/a\nb', true],
    [['**/x*'], 'a\n/xb', false],
    [['**.go'], 'a/b.go', true],
    [['**\\.go'], 'a/b.go', false],
    [['**/]'], ']', true],
    [['**]'], 'a]', false],
    [['**]'], 'b/]', true],
    [['a**b'], 'axb', false],
    [['a**b'], 'ab', true],
    [['a**b'], 'a/x/b', true],
    [['a**b'], 'ax/b', true],
    [['**/**/x'], 'x', true],
    [['**/*/**/x'], 'x', false],
    [['**/*/**/x'], 'a/x', true],
    [['*/**'], 'a', false],
    [['*/**'], 'a/b', true],
    [['?**'], 'ab', true],
    [['?**'], 'a/b', true],
    [['***'], 'a/b', true],
    [['a/***/b'], 'a/b', false],
    [['a/***/b'], 'a/c/b', true],
    [['[^/]**'], 'ab/c', true],
    [['a[/]b'], 'a/b', true],
    [['😀*'], '😀a', true],
    [['?'], '😀', true],
    [['a\\*'], 'a*', true],
    [['a\\*'], 'ab', false],
    [['!a', '**'], 'a', true],
    [['**', '!a/*/c'], 'a/b/c', false],
    [['**', '!a/*/c'], 'a/b/d', true],
    [['a*a*a*b'], 'aaaaab', true],
    [['a*a*a*b'], 'aaaaa', false],
  ];
  for (const [patterns, path, expected] of cases) {
    assert.equal(new PatternMatcher(patterns).matches(path), expected, `${patterns.join(' ')} ~ ${path}`);
  }
});

test('a directory may be skipped exactly when nothing below it can differ', () => {
  const cases: readonly (readonly [readonly string[], string, boolean])[] = [
    [['node_modules'], 'node_modules', true],
    [['node_modules', '!node_modules/keep/x'], 'node_modules', false],
    [['node_modules', '!node_modules/keep/x'], 'node_modules/keep', false],
    [['node_modules', '!node_modules/keep/x'], 'node_modules/drop', true],
    [['node_modules', '!src'], 'node_modules', true],
    [['*', '!**/*.md'], 'any', false],
    [['*', '!a*/b/c'], 'axe/b', false],
    [['*', '!a*/b/c'], 'b/b', true],
    [['src/*.c'], 'src', false],
    [['src/*.c'], 'lib', true],
    [['src/*.c'], 'src/a.c', true],
    [['src/*.c'], 'src/sub', true],
    [['a[^b]c'], 'a', false],
    [['a/b'], '', false],
  ];
  for (const [patterns, dir, expected] of cases) {
    const matcher = new PatternMatcher(patterns);
    let match = matcher.start;
    const names = dir === '' ? [] : dir.split('/');
    for (let depth = 1; depth <= names.length; depth++)
      match = matcher.enter(match, names.slice(0, depth).join('/'));
    assert.equal(matcher.isUniformBelow(match, dir), expected, `${patterns.join(' ')} ~ ${dir}`);
  }
});

test('a walk with handed-down matches agrees with looking at each path alone, skipping included', () => {
  const names = ['a', 'b', 'ab', 'a.c'];
  const paths: string[] = [];
  const grow = (prefix: string, depth: number) => {
    for (const name of names) {
      paths.push(prefix + name);
      if (depth > 1) grow(`${prefix}${name}/`, depth - 1);
    }
  };
  grow('', 3);
  const pieces = ['a', '*', '**', 'a*', '[^b]', '?', 'a/b', '**/b', 'a/**', 'b/*/a', '*.c', 'ab'];
  let seed = 7;
  const pick = (count: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * count);
  };
  for (let round = 0; round < 300; round++) {
    const patterns = Array.from(
      { length: 1 + pick(4) },
      () => `${pick(3) === 0 ? '!' : ''}${pieces[pick(pieces.length)]}`,
    );
    const matcher = new PatternMatcher(patterns);
    const expected = paths.filter((path) => matcher.matches(path));
    const walked: string[] = [];
    const walk = (prefix: string, match: typeof matcher.start, depth: number) => {
      for (const name of names) {
        const path = prefix + name;
        const own = matcher.enter(match, path);
        if (matcher.selects(own)) walked.push(path);
        const useless = !matcher.selects(own) && matcher.isUniformBelow(own, path);
        if (depth > 1 && !useless) walk(`${path}/`, own, depth - 1);
      }
    };
    walk('', matcher.start, 3);
    assert.deepEqual(walked, expected, patterns.join(' '));
  }
});
