import assert from 'node:assert/strict';
import test from 'node:test';
import { gitFailure } from './git-failure.ts';

test('what git says is told in one line, with a code and a way out where there is one', () => {
  const failure = (stderr: string) => {
    const { code, message, hint = '' } = gitFailure('fetch', stderr);
    return { code, message, hint };
  };
  const token = failure("fatal: could not read Username for 'https://h': terminal prompts disabled\n");
  assert.equal(token.code, 'unauthenticated');
  assert.match(token.hint, /GIT_AUTH_TOKEN/);
  const key = failure(
    'git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n',
  );
  assert.equal(
    key.message,
    'git fetch: git@h: Permission denied (publickey).; fatal: Could not read from remote repository.',
  );
  assert.match(key.hint, /--ssh default/);
  const away = "fatal: unable to access 'http://h/r.git/': Could not resolve host: h\n";
  assert.equal(failure(away).code, 'unavailable');
  assert.equal(failure("fatal: repository 'http://h/r.git/' not found\n").code, 'not_found');
  assert.deepEqual(failure('progress 1%\rprogress 2%\rsomething else\n'), {
    code: 'unknown',
    message: 'git fetch: something else',
    hint: '',
  });
  assert.equal(failure('').message, 'git fetch: it did not say why');
});
