import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Redactor } from './redactor.ts';
import { requestAccount } from './request-account.ts';

const request = (options: Readonly<Record<string, string>>, inputs = {}) =>
  requestAccount('dockerfile.v0', options, new Map(Object.entries(inputs)));
const text = (data: Uint8Array) => Buffer.from(data).toString();

describe('predicates do not tell', () => {
  const inner = request({ 'build-arg:NPM_TOKEN': 'inner-secret-value' });
  const redactor = new Redactor([
    request(
      {
        'build-arg:API_KEY': 'correct horse',
        'build-arg:PASSWORD': 'abc',
        'build-arg:KEY_FILE': 'a-plain-path',
      },
      { inner },
    ),
  ]);

  test('build arguments that have the name of a secret', () => {
    assert.equal(redactor.option('build-arg:API_KEY', 'correct horse'), 'xxxxx');
    assert.equal(redactor.option('build-arg:KEY_FILE', 'a-plain-path'), 'a-plain-path');
    assert.equal(redactor.option('label:token', 'x'), 'x');
  });

  test('their values in variables, arguments and files', () => {
    assert.equal(redactor.text('API_KEY=correct horse'), 'API_KEY=xxxxx');
    assert.equal(redactor.text('PASSWORD=abc'), 'PASSWORD=xxxxx');
    assert.equal(redactor.text('OTHER=with correct horse inside'), 'OTHER=with xxxxx inside');
    assert.equal(redactor.text('echo inner-secret-value'), 'echo xxxxx');
    assert.equal(text(redactor.data(Buffer.from('a correct horse\n'))), 'a xxxxx\n');
  });

  test('credentials in URLs', () => {
    assert.equal(redactor.text('git clone https://me:pw@host/x'), 'git clone https://xxxxx:xxxxx@host/x');
    assert.equal(text(redactor.data(Buffer.from('ADD https://me@host/x /'))), 'ADD https://xxxxx@host/x /');
  });

  test('and tell everything else as it is', () => {
    for (const each of ['abc', 'KEY_FILE=a-plain-path', 'a=b', '']) assert.equal(redactor.text(each), each);
    const binary = Uint8Array.from([0xff, 0xfe, 0, 1]);
    assert.equal(redactor.data(binary), binary);
  });
});
