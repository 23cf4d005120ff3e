import assert from 'node:assert/strict';
import test from 'node:test';
import { detectSyntax } from './detect-syntax.ts';
import { findDirective, parseDirective, readDirectives } from './directives.ts';

test('a directive is a known name, an equals sign and a value', () => {
  assert.deepEqual(parseDirective(' Syntax =  a/b:1 x '), { name: 'syntax', value: 'a/b:1 x' });
  assert.deepEqual(parseDirective('check=skip=all;error=true'), {
    name: 'check',
    value: 'skip=all;error=true',
  });
  for (const comment of [
    '',
    'syntax',
    'syntax=',
    'syntax = ',
    'other=1',
    '=x',
    'my syntax=x',
    'syntax: x=y',
  ]) {
    assert.equal(parseDirective(comment), undefined, comment);
  }
});

test('directives end at the first line that is none', () => {
  for (const line of ['', 'FROM a', '# comment', '#', ' # escape=`', '#!/x']) {
    assert.deepEqual(readDirectives(['# syntax=a', line, '# escape=`']), {
      directives: [{ name: 'syntax', value: 'a', line: 1 }],
    });
  }
});

test('a second directive of a name is told apart, whatever its case', () => {
  assert.deepEqual(readDirectives(['#check=skip=all', '#SYNTAX=a', '# Check=x', '#escape=`']), {
    directives: [
      { name: 'check', value: 'skip=all', line: 1 },
      { name: 'syntax', value: 'a', line: 2 },
    ],
    repeated: { name: 'check', value: 'x', line: 3 },
  });
});

test('a directive is found after others, a byte order mark and a first line for the shell', () => {
  assert.deepEqual(
    findDirective('\uFEFF#!/usr/bin/env x\r\n# escape=`\r\n# check=error=true\r\nFROM a', 'check'),
    {
      name: 'check',
      value: 'error=true',
      line: 3,
    },
  );
  assert.equal(findDirective('# check=a\n# check=b\n# syntax=c', 'syntax'), undefined);
  assert.equal(findDirective('#!/usr/bin/env x', 'syntax'), undefined);
});

test('a frontend is asked for in a comment of either kind, or in JSON', () => {
  assert.deepEqual(detectSyntax('# syntax=a/b rest\nFROM x'), {
    reference: 'a/b',
    value: 'a/b rest',
    line: 1,
  });
  assert.deepEqual(detectSyntax('#!/x\n// syntax=a/b\nlet x;'), { reference: 'a/b', value: 'a/b', line: 2 });
  assert.deepEqual(detectSyntax('#!/x\n\n{"syntax": "a/b", "y": 1}'), {
    reference: 'a/b',
    value: 'a/b',
    line: 1,
  });
  for (const text of ['', 'FROM a', '{"syntax": 1}', '{"syntax": "a"', '{}', '\n# syntax=a']) {
    assert.equal(detectSyntax(text), undefined, text);
  }
});
