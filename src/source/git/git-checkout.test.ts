import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { GitRepository } from './git-rig.ts';
import { GitSourceRig, gitIn, listing } from './git-source-rig.ts';

let rig: GitSourceRig;
beforeEach(async () => {
  rig = await GitSourceRig.open();
});
afterEach(() => rig[Symbol.asyncDispose]());

test('with its git directory a checkout is a clean repository at the commit', async () => {
  const commit = rig.repository.commit({ a: 'a' });
  rig.repository.git('tag', '--annotate', '--message=x', 'v1');
  const plain = path.join(rig.dir, 'plain');
  execFileSync('git', ['init', '--quiet', plain]);
  for (const [name, refs] of [
    ['app.git#main', ['refs/heads/main']],
    ['app.git#v1', ['refs/tags/v1']],
    [`app.git#${commit}`, []],
  ] as const) {
    const directory = await rig.snapshot(name, { 'git.keepgitdir': 'true' });
    assert.equal(gitIn(directory, 'rev-parse', 'HEAD'), commit);
    assert.equal(gitIn(directory, 'status', '--porcelain'), '');
    assert.equal(gitIn(directory, 'remote', 'get-url', 'origin'), rig.server.url('app.git'));
    assert.deepEqual(
      gitIn(directory, 'for-each-ref', '--format=%(refname)').split('\n').filter(Boolean),
      refs,
    );
    const made = readdirSync(path.join(plain, '.git'));
    const kept = readdirSync(path.join(directory, '.git'));
    assert.deepEqual(
      made.filter((file) => !kept.includes(file)),
      [],
    );
    assert.equal(kept.includes('FETCH_HEAD'), false);
    // Git empties the logs that it makes: they would tell when and where this was done.
    const logs = ['HEAD', ...refs.filter((ref) => ref.startsWith('refs/heads/'))];
    for (const log of logs) assert.equal(readFileSync(path.join(directory, '.git/logs', log), 'utf8'), '');
  }
});

test('a directory of the repository can be the tree, with the attributes of those above', async () => {
  rig.repository.commit({
    '.gitattributes': '*.bat text eol=crlf\n',
    top: 'x',
    'a/b/c.bat': 'one\n',
    'a/b/d/e': 'e',
    'a/link': { link: 'b' },
    'a/file': 'f',
  });
  const wanted = { 'c.bat': '644 one\r\n', d: '755/', 'd/e': '644 e' };
  assert.deepEqual(listing(await rig.snapshot('app.git#main:a/b')), wanted);
  assert.deepEqual(listing(await rig.snapshot('app.git#:/a/x/../b/')), wanted);
  assert.deepEqual(listing(await rig.snapshot('app.git#main:a/b', { 'git.keepgitdir': 'true' })), wanted);
  await assert.rejects(rig.snapshot('app.git#main:a/none'), {
    code: 'not_found',
    message: /invalid subdir a\/none/,
  });
  for (const other of ['a/link', 'a/file']) {
    await assert.rejects(rig.snapshot(`app.git#main:${other}`), {
      code: 'failed_precondition',
      message: /not a directory/,
    });
  }
  await assert.rejects(rig.snapshot('app.git#main:a/link/d'), { code: 'not_found' });
});

test('submodules come with it, also those of submodules, from the repository they are relative to', async () => {
  const deep = new GitRepository(path.join(rig.dir, 'served/libs/deep.git'));
  const inner = new GitRepository(path.join(rig.dir, 'served/libs/inner.git'));
  inner.commit({ i: 'i' });
  inner.addSubmodule('nested', './../deep.git', deep.commit({ x: 'x' }));
  rig.repository.commit({ a: 'a' });
  rig.repository.addSubmodule('sub/inner', '../libs/inner.git', inner.git('rev-parse', 'HEAD'));
  const all = {
    '.gitmodules': /^644 /,
    a: /^644 a$/,
    sub: /^755\/$/,
    'sub/inner': /^755\/$/,
    'sub/inner/.gitmodules': /^644 /,
    'sub/inner/i': /^644 i$/,
    'sub/inner/nested': /^755\/$/,
    'sub/inner/nested/x': /^644 x$/,
  };
  const matches = (found: Record<string, string>, wanted: Record<string, RegExp>) => {
    assert.deepEqual(Object.keys(found), Object.keys(wanted));
    for (const [name, pattern] of Object.entries(wanted)) assert.match(found[name]!, pattern);
  };
  matches(listing(await rig.snapshot('app.git')), all);
  assert.deepEqual(Object.keys(listing(await rig.snapshot('app.git', { 'git.skipsubmodules': 'true' }))), [
    '.gitmodules',
    'a',
    'sub',
    'sub/inner',
  ]);
  assert.deepEqual(Object.keys(listing(await rig.snapshot('app.git#main:sub'))), [
    'inner',
    'inner/.gitmodules',
    'inner/i',
    'inner/nested',
    'inner/nested/x',
  ]);
  assert.deepEqual(listing(await rig.snapshot('app.git#main:sub/inner/nested')), { x: '644 x' });
  await assert.rejects(rig.snapshot('app.git#main:sub/inner', { 'git.skipsubmodules': 'true' }), {
    message: /sub\/inner: it is a submodule that is left out/,
  });
  const kept = await rig.snapshot('app.git', { 'git.keepgitdir': 'true' });
  assert.equal(readFileSync(path.join(kept, 'sub/inner/nested/x'), 'utf8'), 'x');
  assert.equal(gitIn(path.join(kept, 'sub/inner'), 'status', '--porcelain'), '');
});

test('a submodule may be another commit of the same repository', async () => {
  const first = rig.repository.commit({ a: 'old' });
  rig.repository.addSubmodule('before', './', first);
  rig.repository.commit({ a: 'new' });
  const directory = await rig.snapshot('app.git');
  assert.equal(readFileSync(path.join(directory, 'before/a'), 'utf8'), 'old');
  assert.equal(readFileSync(path.join(directory, 'a'), 'utf8'), 'new');
});

test('no file of the machine comes in as a submodule', async () => {
  const other = new GitRepository(path.join(rig.dir, 'other'));
  const commit = other.commit({ secret: 'x' });
  rig.repository.commit({ a: 'a' });
  rig.repository.addSubmodule('sub', `file://${other.directory}`, commit);
  await assert.rejects(rig.snapshot('app.git'), {
    code: 'failed_precondition',
    message: /submodule sub of .* has the url "file:/,
  });
  await assert.rejects(rig.snapshot('app.git', { 'git.keepgitdir': 'true' }), { code: 'permission_denied' });
});

test('files can have the time of the commit', async () => {
  rig.repository.commit({ 'dir/a': 'a', link: { link: 'nowhere' } });
  const time = Number(rig.repository.git('log', '-1', '--format=%ct')) * 1000;
  const directory = await rig.snapshot('app.git', { 'git.mtime': 'commit', 'git.keepgitdir': 'true' });
  for (const name of ['', 'dir', 'dir/a', 'link', '.git', '.git/HEAD']) {
    assert.equal(lstatSync(path.join(directory, name)).mtimeMs, time, name);
  }
});
