import assert from 'node:assert/strict';
import test from 'node:test';
import { KilnError, type Range } from '../../../base/errors.ts';
import type { Instruction } from './instruction-tree.ts';
import { parseDockerfile } from './parse-dockerfile.ts';

const parse = (data: string | Buffer) =>
  parseDockerfile({ filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from(data) });

/** The instructions after `FROM scratch`. */
const instructions = (text: string): readonly Instruction[] =>
  parse(`FROM scratch\n${text}`).stages[0]!.instructions;

function only<Kind extends Instruction['kind']>(kind: Kind, text: string) {
  const all = instructions(text);
  assert.deepEqual(
    all.map((instruction) => instruction.kind),
    [kind],
  );
  return all[0] as Extract<Instruction, { kind: Kind }>;
}

test('continuation lines are joined, comments and empty lines among them left out', () => {
  const dockerfile = parse('FROM scratch\nRUN a \\\n  # comment\n\n   && b \\  \n && c\nRUN d');
  const [first, second] = dockerfile.stages[0]!.instructions;
  assert.equal(first!.code, 'RUN a    && b  && c');
  assert.deepEqual(first!.range, { start: { line: 2, character: 0 }, end: { line: 6, character: 0 } });
  assert.equal(second!.code, 'RUN d');
  assert.equal(dockerfile.emptyContinuations.length, 1);
});

test('an escaped continuation mark does not continue', () => {
  assert.equal(instructions('RUN a \\\\\nRUN b').length, 2);
});

test('the escape directive makes the backtick continue lines and the backslash ordinary', () => {
  const { stages, words } = parse('# escape=`\nFROM scratch\nRUN dir C:\\ `\n  x\nWORKDIR C:\\');
  assert.deepEqual(words.get('\\a`b').parts, ['\\a', { kind: 'escaped', plain: 'b', raw: '`b' }]);
  assert.deepEqual(
    stages[0]!.instructions.map(({ code }) => code),
    ['RUN dir C:\\   x', 'WORKDIR C:\\'],
  );
});

test('directives end at the first line that is not one', () => {
  const { directives } = parse('# syntax = a/b:1 x\n#check=skip=all\n# other\n# escape=`\nFROM scratch');
  assert.deepEqual(directives, [
    { name: 'syntax', value: 'a/b:1 x', line: 1 },
    { name: 'check', value: 'skip=all', line: 2 },
  ]);
});

test('a byte order mark and CRLF line ends are passed over', () => {
  const { stages } = parse('\uFEFFFROM scratch AS x\r\nRUN a \\\r\n b\r\nENV k=v\r\n');
  assert.equal(stages[0]!.from.name, 'x');
  assert.deepEqual(
    stages[0]!.instructions.map(({ code }) => code),
    ['RUN a  b', 'ENV k=v'],
  );
});

test('several heredocs are read in order, tabs removed for <<- and quotes forbidding expansion', () => {
  const copy = only('copy', 'COPY <<A <<-"B" file /dest/\nfrom $A\nA\n\ttab\n\tB\n');
  assert.deepEqual(copy.sources, ['file']);
  assert.deepEqual(copy.documents, [
    { name: 'A', data: 'from $A\n', expand: true },
    { name: 'B', data: 'tab\n', expand: false },
  ]);
});

test('a quoted heredoc keeps bytes that are not UTF-8', () => {
  const bytes = (text: string) => Buffer.from(text, 'latin1');
  const { stages } = parse(
    bytes('FROM a\nCOPY <<"A" <<-\'B\' <<C /d/\na\xff\xe9\nA\n\t\xe9\n\tB\n\xe9$C\nC\n'),
  );
  const [copy] = stages[0]!.instructions;
  assert.ok(copy?.kind === 'copy');
  assert.deepEqual(copy.documents, [
    { name: 'A', data: bytes('a\xff\xe9\n'), expand: false },
    { name: 'B', data: bytes('\xe9\n'), expand: false },
    { name: 'C', data: '\ufffd$C\n', expand: true },
  ]);
});

test('a command for a shell that is not UTF-8 is refused with its line', () => {
  const bytes = (text: string) => Buffer.from(text, 'latin1');
  assert.throws(
    () => parse(bytes('FROM a\nRUN x \\\n# \xe9\ny \xe9')),
    (error) => {
      assert.ok(error instanceof KilnError);
      assert.equal(error.message, 'the command holds bytes that are not UTF-8');
      const [detail] = error.details;
      assert.ok(detail?.kind === 'source');
      assert.equal(detail.ranges[0]!.start.line, 4);
      return true;
    },
  );
  const [run] = parse(bytes('FROM a\nRUN x \\\n# \xe9\ny')).stages[0]!.instructions;
  assert.equal(run!.code, 'RUN x y');
});

test('a quoted << in a RUN is no heredoc, nor is one in JSON', () => {
  assert.deepEqual(only('run', 'RUN echo "<<EOF"').command, {
    form: 'shell',
    text: 'echo "<<EOF"',
    documents: [],
  });
  assert.deepEqual(only('run', 'RUN ["echo", "<<EOF"]').command, { form: 'exec', args: ['echo', '<<EOF'] });
});

test('a blank may follow the mark of a heredoc', () => {
  const { command } = only('run', 'RUN cat << A << "B"\na\nA\nb\nB');
  assert.ok(command.form === 'shell');
  assert.deepEqual(
    command.documents.map(({ name, expand, content, line }) => [name, expand, content, line]),
    [
      ['A', true, 'a\n', 3],
      ['B', false, 'b\n', 5],
    ],
  );
});

test('a chain of ONBUILD is refused, however long it is', () => {
  assert.throws(() => parse(`FROM scratch\n${'ONBUILD '.repeat(100_000)}RUN <<EOF\na\nEOF`), {
    code: 'invalid_argument',
    message: /Chaining ONBUILD/,
  });
});

test('a heredoc of an ONBUILD trigger is part of its expression', () => {
  assert.equal(only('onbuild', 'ONBUILD RUN <<E\nx\nE').expression, 'RUN <<E\nx\nE');
});

test('flags are read up to the first other word, and a lone -- ends them', () => {
  const run = only(
    'run',
    'RUN --mount=type=cache,target=/c --mount="type=tmpfs,target=/a b" --network=none -- --x',
  );
  assert.deepEqual(run.flags, { mount: ['type=cache,target=/c', 'type=tmpfs,target=/a b'], network: 'none' });
  assert.deepEqual(run.command, { form: 'shell', text: '--x', documents: [] });
});

test('half a surrogate pair in a JSON array is a replacement character', () => {
  assert.deepEqual(only('run', String.raw`RUN ["a", "\ud800x", "\ud83d\ude00"]`).command, {
    form: 'exec',
    args: ['a', '\ufffdx', '\u{1f600}'],
  });
});

test('a JSON array is the exec form, anything else the shell form', () => {
  assert.deepEqual(only('cmd', 'CMD ["a", "b"]').command, { form: 'exec', args: ['a', 'b'] });
  assert.deepEqual(only('cmd', "CMD ['a']").command, { form: 'shell', text: "['a']" });
  assert.deepEqual(only('entrypoint', 'ENTRYPOINT []').command, { form: 'exec', args: [] });
  assert.deepEqual(only('volume', 'VOLUME ["/a b"]').paths, ['/a b']);
});

test('ENV takes pairs, quoted and escaped, and the old form with one pair', () => {
  const pairs = (text: string) =>
    only('env', text).pairs.map(({ key, value, legacy }) => [key, value, legacy]);
  assert.deepEqual(pairs('ENV a=b c="d e" f=g\\ h i='), [
    ['a', 'b', false],
    ['c', '"d e"', false],
    ['f', 'g\\ h', false],
    ['i', '', false],
  ]);
  assert.deepEqual(pairs('ENV a  b  = c'), [['a', 'b  = c', true]]);
});

test('ARG takes several, with and without default, described by the comment above', () => {
  assert.deepEqual(only('arg', '# V the version\nARG V=1 W').args, [
    { name: 'V', value: '1', description: 'the version' },
    { name: 'W' },
  ]);
});

test('HEALTHCHECK durations are nanoseconds', () => {
  const check = only('healthcheck', 'HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD curl x');
  assert.deepEqual([check.interval, check.timeout, check.startPeriod, check.retries], [90e9, 1.5e9, 0, 3]);
  assert.deepEqual(check.test, ['CMD-SHELL', 'curl x']);
  assert.deepEqual(only('healthcheck', 'HEALTHCHECK NONE').test, ['NONE']);
});

test('stage names are kept in lower case, and as they were written', () => {
  const [stage] = parse('from a:1 As Foo').stages;
  assert.deepEqual([stage!.from.name, stage!.from.as], ['foo', { keyword: 'As', name: 'Foo' }]);
});

const broken: readonly (readonly [string, RegExp, Range['start'], number])[] = [
  [
    'FROM a\n  RUNN x',
    /line 2: unknown instruction: RUNN \(did you mean RUN\?\)/,
    { line: 2, character: 2 },
    6,
  ],
  ['FROM a\nrum x', /\(did you mean run\?\)/, { line: 2, character: 0 }, 3],
  [
    'FROM a\nCOPY --form=x a b',
    /unknown flag: --form \(did you mean from\?\)/,
    { line: 2, character: 5 },
    13,
  ],
  ['FROM a\nCOPY \\\n  --link=maybe a b', /expecting boolean value/, { line: 3, character: 2 }, 14],
  ['FROM a\nCOPY --chown=1 --chown=2 a b', /duplicate flag/, { line: 2, character: 15 }, 24],
  ['FROM a\nRUN --network=hots x', /did you mean host\?/, { line: 2, character: 4 }, 18],
  ['FROM a AS 1x', /invalid name for build stage: "1x"/, { line: 1, character: 10 }, 12],
  ['FROM a b', /FROM requires either one or three arguments/, { line: 1, character: 0 }, 0],
  ['RUN x', /no build stage/, { line: 1, character: 0 }, 0],
  ['ARG x', /no stages/, { line: 1, character: 0 }, 0],
  ['# only a comment', /no instructions/, { line: 1, character: 0 }, 0],
  ['FROM a\nRUN <<EOF\nx', /unterminated heredoc/, { line: 2, character: 0 }, 0],
  ['FROM a\nCOPY x', /requires at least two arguments/, { line: 2, character: 0 }, 0],
  ['FROM a\nCOPY a <<EOF\nEOF', /cannot accept a heredoc as a destination/, { line: 2, character: 0 }, 0],
  ['FROM a\nENV a', /must have two arguments/, { line: 2, character: 0 }, 0],
  ['FROM a\nENV a=b c', /can't find = in "c"/, { line: 2, character: 0 }, 0],
  ['FROM a\nCMD ["a", 1]', /comprised of strings only/, { line: 2, character: 4 }, 12],
  ['FROM a\nHEALTHCHECK DMC x', /Unknown type "DMC"/, { line: 2, character: 12 }, 15],
  ['FROM a\nHEALTHCHECK --interval=1us CMD x', /cannot be less than 1ms/, { line: 2, character: 0 }, 0],
  ['FROM a\nONBUILD ONBUILD RUN x', /Chaining ONBUILD/, { line: 2, character: 0 }, 0],
  ['FROM a\nSHELL sh', /JSON form/, { line: 2, character: 0 }, 0],
  ['# escape=x\nFROM a', /invalid escape token 'x'/, { line: 1, character: 0 }, 0],
  ['# syntax=a\n# syntax=b\nFROM a', /only one syntax parser directive/, { line: 2, character: 0 }, 0],
];

for (const [text, message, start, end] of broken) {
  test(`${JSON.stringify(text)} is refused with its place`, () => {
    assert.throws(
      () => parse(text),
      (error) => {
        assert.ok(error instanceof KilnError);
        assert.equal(error.code, 'invalid_argument');
        assert.match(error.message, message);
        const [detail] = error.details;
        assert.ok(detail?.kind === 'source');
        assert.deepEqual(detail.ranges[0]!.start, start);
        assert.equal(detail.ranges[0]!.end.character, end);
        return true;
      },
    );
  });
}
