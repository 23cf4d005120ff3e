import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { resolveInRoot } from './rooted-path.ts';

test('a path is resolved as a process with that root would', (t) => {
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-rooted-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(path.join(root, 'a/b'), { recursive: true });
  writeFileSync(path.join(root, 'a/file'), '');
  symlinkSync('/a/b', path.join(root, 'absolute'));
  symlinkSync('../../../../../a', path.join(root, 'a/b/above'));
  symlinkSync('absolute/new', path.join(root, 'dangling'));
  symlinkSync('circle', path.join(root, 'circle'));
  const inside = (name: string, followLast = true) =>
    resolveInRoot(root, name, { followLast }).slice(root.length) || '/';

  assert.equal(inside('/'), '/');
  assert.equal(inside('..//../a/./b/'), '/a/b');
  assert.equal(inside('absolute/x'), '/a/b/x');
  assert.equal(inside('absolute', false), '/absolute');
  assert.equal(inside('absolute/', false), '/absolute');
  assert.equal(inside('absolute/above/file'), '/a/file');
  assert.equal(inside('absolute/..'), '/a');
  assert.equal(inside('dangling/more'), '/a/b/new/more');
  assert.equal(inside('none/../a'), '/a');
  const long = 'n'.repeat(300);
  assert.equal(inside(`a/${long}`), `/a/${long}`);
  assert.throws(() => inside('circle'), { code: 'failed_precondition' });
  assert.throws(() => inside('a\0b'), { code: 'invalid_argument', message: /^"a\\u0000b" has a NUL/ });
});
