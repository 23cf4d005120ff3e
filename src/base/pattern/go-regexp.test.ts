import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GoRegexp } from './go-regexp.ts';

/** What Go's `ReplaceAllString` makes of a text with `<$1|$0>`; undefined where Go refuses the expression. */
const table: readonly (readonly [string, string, string | undefined])[] = [
  ['(a+)+$', 'aaab', 'aaab'],
  ['(a+)+$', 'baa', 'b<aa|aa>'],
  ['a*', 'baaac', '<|>b<|aaa>c<|>'],
  ['(a*)(b)?', 'aab', '<aa|aab>'],
  ['a|ab', 'ab', '<|a>b'],
  ['(a|ab)(c|bcd)', 'abcd', '<a|abcd>'],
  ['(?i)É', 'é', '<|é>'],
  ['(?i)k', 'K', '<|K>'],
  ['^$', '', '<|>'],
  ['^b', 'a\nb', 'a\nb'],
  ['(?m)^b', 'a\nb', 'a\n<|b>'],
  ['a.b', 'a\nb', 'a\nb'],
  ['(?s)a.b', 'a\nb', '<|a\nb>'],
  ['a.b', 'a\r b', 'a\r b'],
  ['a$', 'a\n', 'a\n'],
  ['a\\z', 'a\n', 'a\n'],
  ['\\bx\\b', 'a x b', 'a <|x> b'],
  ['\\bé', 'é', 'é'],
  ['\\w+', 'é_a1', 'é<|_a1>'],
  ['\\d', '٣', '٣'],
  ['\\s', ' ', ' '],
  ['[[:alpha:]]+', 'xé1', '<|x>é1'],
  ['\\pL+', '1éx', '1<|éx>'],
  ['\\p{Greek}', 'aΑ', 'a<|Α>'],
  ['[^\\n]+', 'a\nb', '<|a>\n<|b>'],
  ['(?U)a+', 'aaa', '<|a><|a><|a>'],
  ['a{2,3}?', 'aaaa', '<|aa><|aa>'],
  ['\\Qa.b\\E', 'a.b axb', '<|a.b> axb'],
  ['(?P<x>a)(?<y>b)?', 'ab', '<a|ab>'],
  ['\\x41\\x{1F600}', 'A😀', '<|A😀>'],
  ['.', '😀', '<|😀>'],
  ['[😀]', 'x😀', 'x<|😀>'],
  ['x*', '-', '<|>-<|>'],
  ['(^|/)v[0-9]+', '/v1/v2', '</|/v1></|/v2>'],
  [
    '^docker-image://docker\\.io/(.*)$',
    'docker-image://docker.io/library/alpine',
    '<library/alpine|docker-image://docker.io/library/alpine>',
  ],
  ['\\C', 'a', undefined],
  ['(?=a)', 'a', undefined],
  ['(?<!a)b', 'b', undefined],
  ['(a)\\1', 'aa', undefined],
  ['a**', 'a', undefined],
  ['(', '(', undefined],
  ['a{1001}', 'a', undefined],
  ['[b-a]', 'a', undefined],
  ['\\8', '8', undefined],
  ['(?x) a', 'a', undefined],
  ['\\Z', 'a', undefined],
  ['a++', 'a', undefined],
];

test('an expression finds what it finds in Go', () => {
  for (const [pattern, text, expected] of table) {
    if (expected === undefined) {
      assert.throws(() => new GoRegexp(pattern), { code: 'invalid_argument' }, pattern);
      continue;
    }
    const expression = new GoRegexp(pattern);
    const replaced = expression.replace(text, ({ group }) => `<${group('1') ?? ''}|${group('0')}>`);
    assert.equal(replaced, expected, pattern);
    assert.equal(expression.matches(text), expected !== text, pattern);
  }
});

test('groups have numbers and names, and nothing else is one', () => {
  const groups = (names: readonly string[]) =>
    new GoRegexp('(?P<x>a)(?<y>b)?').replace('a', ({ group }) =>
      names.map((name) => group(name) ?? '-').join(),
    );
  assert.equal(groups(['0', '1', '2', '3', 'x', 'y', 'constructor', '__proto__']), 'a,a,-,-,a,-,-,-');
});

test('an expression that is refused is named, with the reason', () => {
  assert.throws(() => new GoRegexp('a(?=b)'), {
    message: /^invalid regular expression "a\(\?=b\)": .*invalid or unsupported Perl syntax/,
  });
});

test('expressions that can match in more ways than there is time for are matched at once', () => {
  const text = 'a'.repeat(20_000);
  for (const pattern of ['(a+)+$', '(a|a)*b', '(a|aa)+$', '(.*)(.*)(.*)(.*)(.*)[^a!]$', '(a*)*b'])
    assert.equal(new GoRegexp(pattern).matches(`${text}!`), false, pattern);
});
