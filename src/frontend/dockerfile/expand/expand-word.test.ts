// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import assert from 'node:assert/strict';
import test from 'node:test';
import { KilnError } from '../../../base/errors.ts';
import { type ExpandOptions, expandWord } from './expand-word.ts';

const values = new Map([
  ['V', 'value'],
  ['EMPTY', ''],
  ['PATHS', '/usr/local/bin'],
  ['N', 'foo.tar.gz'],
  ['S', 'two words'],
]);
const variables = { get: (name: string) => values.get(name), names: () => values.keys() };
const expand = (word: string, options?: ExpandOptions) => expandWord(word, variables, options).text;

const table: readonly (readonly [string, string])[] = [
  ['plain', 'plain'],
  ['$V', 'value'],
  ['${V}', 'value'],
  ['a$V.b', 'avalue.b'],
  ['$MISSING.', '.'],
  ['\\$V', '$V'],
  ["'$V'", '$V'],
  ['"$V"', 'value'],
  ['"\\$V \\a \\""', '$V \\a "'],
  ['$', '$'],
  ['$ x', '$ x'],
  ['${V:-x}', 'value'],
  ['${EMPTY:-x}', 'x'],
  ['${EMPTY-x}', ''],
  ['${MISSING-x}', 'x'],
  ['${MISSING:-${V}y}', 'valuey'],
  ['${V:+x}', 'x'],
  ['${EMPTY:+x}', ''],
  ['${EMPTY+x}', 'x'],
  ['${MISSING+x}', ''],
  ['${V:?no}', 'value'],
  ['${EMPTY?no}', ''],
  ['${PATHS#*/}', 'usr/local/bin'],
  ['${PATHS##*/}', 'bin'],
  ['${N%.*}', 'foo.tar'],
  ['${N%%.*}', 'foo'],
  ['${N%?gz}', 'foo.tar'],
  ['${N/./-}', 'foo-tar.gz'],
  ['${N//./-}', 'foo-tar-gz'],
  ['${PATHS//\\//_}', '_usr_local_bin'],
  ['${N/t*r/X}', 'foo.X.gz'],
  ['${N/x/y}', 'foo.tar.gz'],
  ['a\\', 'a'],
  ['<<EOF', '<<EOF'],
];

for (const [word, expected] of table) {
  test(`${word} expands to ${JSON.stringify(expected)}`, () => assert.equal(expand(word), expected));
}

const broken: readonly (readonly [string, RegExp])[] = [
  ['${V', /missing '}'|unsupported modifier/],
  ['${', /missing '}'/],
  ['${}', /bad substitution/],
  ['${:x}', /bad substitution/],
  ['${V^}', /unsupported modifier \(\^\)/],
  ['${V:#x}', /unsupported modifier \(:#\)/],
  ['${MISSING?give it}', /MISSING: give it/],
  ['${EMPTY:?}', /EMPTY: is not allowed to be empty/],
  ["'open", /single-quote/],
  ['"open', /double-quote/],
  ['${V/x}', /missing '\/'/],
  ['${N#\\z}', /invalid escape/],
];

for (const [word, message] of broken) {
  test(`${word} is refused`, () => {
    assert.throws(
      () => expand(word),
      (error) =>
        error instanceof KilnError && error.code === 'invalid_argument' && message.test(error.message),
    );
  });
}

test('words are split at blanks that are not quoted, after expansion', () => {
  assert.deepEqual(expandWord('$S "$S" a\\ b', variables).words, ['two', 'words', 'two words', 'a b']);
});

test('matched and unmatched variables are told apart', () => {
  const { matched, unmatched } = expandWord('$V $X ${Y:-$EMPTY}', variables);
  assert.deepEqual([...matched], ['V', 'EMPTY']);
  assert.deepEqual([...unmatched], ['X', 'Y']);
});

test('a backtick can be the escape mark', () => {
  assert.equal(expand('`$V \\x', { escape: '`' }), '$V \\x');
});

test('for display, quotes and unset references stay', () => {
  assert.equal(
    expand('echo "$V" ${X:-1} $Y', { keepQuotes: true, keepUnset: true }),
    'echo "value" ${X:-1} $Y',
  );
});

test('in a heredoc quotes are text', () => {
  assert.equal(expand(`it's "$V"\n`, { ignoreQuotes: true }), `it's "value"\n`);
});
