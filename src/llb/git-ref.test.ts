import assert from 'node:assert/strict';
import test from 'node:test';
import { parseGitRef } from './git-ref.ts';

test('git repositories are told from files and downloads', () => {
  assert.deepEqual(parseGitRef('https://h/a/b.git#v1:sub/dir')?.options, { ref: 'v1', subdir: 'sub/dir' });
  assert.deepEqual(parseGitRef('git@h:a/b.git?tag=v1&keep-git-dir')?.options, {
    keepGitDir: true,
    ref: 'refs/tags/v1',
  });
  assert.equal(parseGitRef('github.com/a/b')?.couldBePath, true);
  for (const other of ['https://h/a.tar.gz', './a.git', 'a/b', 'ftp://h/a.git']) {
    assert.equal(parseGitRef(other), undefined, other);
  }
  assert.throws(() => parseGitRef('https://h/a.git?x=1'), { code: 'invalid_argument' });
});
