import assert from 'node:assert/strict';
import test from 'node:test';
import { isAbsoluteTargetPath, resolveTargetPath, resolveWorkdir } from './target-path.ts';

test('paths in the image are absolute, on Windows without a drive', () => {
  assert.equal(resolveTargetPath('/w', 'a/../b/', 'linux', true), '/w/b/');
  assert.equal(resolveTargetPath('/w', '.', 'linux', true), '/w');
  assert.equal(resolveTargetPath('/w', './', 'linux', true), '/w/');
  assert.equal(resolveTargetPath('/a/b/', '', 'linux', false), '/a/b/');
  assert.equal(resolveTargetPath('/a/./b/', 'c/', 'linux', false), '/a/b/c');
  assert.equal(resolveTargetPath('/', 'C:\\App\\x', 'windows', false), '/App/x');
  assert.equal(resolveWorkdir('\\a', 'b', 'windows'), '\\a\\b');
  assert.equal(isAbsoluteTargetPath('c:\\a', 'windows'), true);
  assert.throws(() => resolveTargetPath('/', 'D:\\x', 'windows', false), { code: 'invalid_argument' });
});
