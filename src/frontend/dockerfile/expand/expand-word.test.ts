// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import assert from 'node:assert/strict';
import test from 'node:test';
import { KilnError } from '../../../base/errors.ts';
import { type ExpandOptions, expandToWords, expandWord } from './expand-word.ts';
import { type ParseWordOptions, parseWord } from './parse-word.ts';

const values = new Map([
  ['V', 'value'],
  ['EMPTY', ''],
  ['PATHS', '/usr/local/bin'],
  ['N', 'foo.tar.gz'],
  ['S', 'two words'],
]);
const variables = { get: (name: string) => values.get(name), names: () => values.keys() };
const expand = (word: string, options?: ExpandOptions & ParseWordOptions) =>
  expandWord(word, variables, options).text;

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
  ['${PATHS//*/x}', 'x'],
  ['${PATHS/?*l/x}', 'x/bin'],
  ['${PATHS//l*l/x}', '/usr/x/bin'],
  ['${PATHS//o*a/x}', '/usr/lxl/bin'],
  ['${N///-}', '-f-o-o-.-t-a-r-.-g-z-'],
  ['${N##*.}', 'gz'],
  ['${N%%*}', ''],
  ['${N#*}', 'foo.tar.gz'],
  ['${N/o*/\\$1}', 'f\\$1'],
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
  assert.deepEqual(expandToWords('$S "$S" a\\ b', variables), ['two', 'words', 'two words', 'a b']);
});

test('blanks after the mark of a heredoc do not end its word', () => {
  const words = (text: string) => expandToWords(text, variables, { keepQuotes: true, keepEscapes: true });
  assert.deepEqual(words('cat << EOF 3<<\t"E F" > x'), ['cat', '<< EOF', '3<<\t"E F"', '>', 'x']);
  assert.deepEqual(words('<<- EOF <<< a <<\nb'), ['<<-', 'EOF', '<<<', 'a', '<<', 'b']);
  assert.deepEqual(words("'<<' a \\<< b"), ["'<<'", 'a', '\\<<', 'b']);
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

test('for display, a modifier that is not known stays, and the rest is expanded', () => {
  const shown = { keepQuotes: true, keepUnset: true, keepUnknown: true };
  assert.equal(expand('echo $V ${X:0:3} $V', shown), 'echo value ${X:0:3} value');
  assert.equal(
    expand('echo ${V^^} ${V:1:2} ${X[@]} ${!X} "${V@Q}" $V', shown),
    'echo ${V^^} ${V:1:2} ${X[@]} ${!X} "${V@Q}" value',
  );
  assert.equal(expand('cat ${X:0:3} $V', { keepUnset: true }), 'cat ${X:0:3} value');
  assert.throws(() => expand('cat ${V:0:3}', { keepUnset: true }), { message: /unsupported modifier/ });
});

test('in a heredoc quotes are text', () => {
  assert.equal(expand(`it's "$V"\n`, { ignoreQuotes: true }), `it's "value"\n`);
});

test('a pattern of many stars is matched at once', () => {
  const value = 'a'.repeat(2_000);
  const long = { get: () => value, names: () => ['L'] };
  const stars = '*a'.repeat(40);
  for (const operator of ['#', '##', '%', '%%', '/', '//']) {
    assert.equal(
      expandWord(`\${L${operator}${stars}b${operator.startsWith('/') ? '/' : ''}}`, long).text,
      value,
    );
  }
});

test('substitutions that are nested too deep are refused', () => {
  assert.throws(() => expand('${MISSING:-'.repeat(5_000)), /nested deeper than/);
  assert.equal(expand(`${'${MISSING:-'.repeat(100)}x${'}'.repeat(100)}`), 'x');
});

test('a pattern takes away or replaces what it does in BuildKit', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['##a*a*a*b', 'aaaab', ''],
    ['##a*a*a*b', 'aaaa', 'aaaa'],
    ['%%a*', 'bacad', 'b'],
    ['%a*', 'bacad', 'bac'],
    ['#*', 'ab', 'ab'],
    ['##*', 'ab', ''],
    ['#?', '😀a', 'a'],
    ['%*\\*', 'a*b*', 'a*b'],
    ['/a*c/<>', 'xaabccx', 'x<>x'],
    ['//a/<>', 'banana', 'b<>n<>n<>'],
    ['//*/<>', 'ab\ncd', '<>\n<>'],
    ['/*/<>', '', '<>'],
    ['//a*/<>', 'ba', 'b<>'],
    ['##*b', 'ab\nb', '\nb'],
  ];
  for (const [modifier, value, expected] of cases) {
    const environment = { get: () => value, names: () => ['x'].values() };
    assert.equal(expandWord(`\${x${modifier}}`, environment).text, expected, `${modifier} ~ ${value}`);
  }
});

test('a pattern that can match in more ways than there is time for is matched at once', () => {
  const value = 'a'.repeat(2_000);
  const environment = { get: () => value, names: () => ['x'].values() };
  for (const operator of ['#', '##', '%', '%%', '/', '//']) {
    const pattern = `b${'*a'.repeat(1_000)}*b${operator.startsWith('/') ? '/x' : ''}`;
    assert.equal(expandWord(`\${x${operator}${pattern}}`, environment).text, value);
  }
});

test('what fails says where in the word it is', () => {
  const placeOf = (word: string) => {
    let place: readonly number[] | undefined;
    const locate = (start: number, end: number) => {
      place = [start, end];
      return { kind: 'other', typeUrl: '', value: new Uint8Array() } as const;
    };
    assert.throws(
      () => expandWord(word, variables, { locate }),
      (error) => error instanceof KilnError && error.details.length === 1,
    );
    assert.ok(place);
    return word.slice(...place);
  };
  assert.equal(placeOf('a$V${MISSING:?x}b'), '${MISSING:?x}');
  assert.equal(placeOf('"${V:-${S} ${N^} }"'), '${N^}');
  assert.equal(placeOf('${V#a\\z}${N^}'), '${V#a\\z}');
  assert.equal(placeOf("$V 'open"), "'open");
  assert.equal(placeOf('$V "open $V'), '"open $V');
  assert.equal(placeOf('$V ${V:-"a ${S'), '${V:-"a ${S');
  assert.equal(placeOf('$V ${}'), '${}');
  assert.equal(placeOf('a${MISSING:?${N^}}'), '${N^}');
});

test('variables are reported as far as the word is read before it fails', () => {
  const unset: string[] = [];
  const onUnset = (name: string) => unset.push(name);
  assert.throws(() => expandWord('$A ${B:-$C} ${V^} $D', variables, { onUnset }));
  assert.deepEqual(unset, ['A', 'C', 'B']);
});

test('a parsed word can be expanded many times', () => {
  const word = parseWord('a${V:+b}$X');
  const withX = { get: (name: string) => (name === 'X' ? 'x' : undefined), names: () => ['X'] };
  assert.equal(expandWord(word, variables).text, 'ab');
  assert.equal(expandWord(word, withX).text, 'ax');
});
