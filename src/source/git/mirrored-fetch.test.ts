import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { GitRepository } from './git-rig.ts';
import { GitSourceRig, gitIn, listing } from './git-source-rig.ts';

let rig: GitSourceRig;
beforeEach(async () => {
  rig = await GitSourceRig.open();
});
afterEach(() => rig[Symbol.asyncDispose]());

test('the next commit is fetched into the same mirror, and one that is there is not fetched', async () => {
  const first = rig.repository.commit({ a: 'one', big: 'x'.repeat(100_000) });
  assert.equal(readFileSync(path.join(await rig.snapshot('app.git'), 'a'), 'utf8'), 'one');
  rig.repository.commit({ a: 'two' });
  assert.equal(readFileSync(path.join(await rig.snapshot('app.git'), 'a'), 'utf8'), 'two');
  rig.server.requests.length = 0;
  assert.equal(readFileSync(path.join(await rig.snapshot(`app.git#${first}`), 'a'), 'utf8'), 'one');
  assert.deepEqual(rig.server.requests, []);
  const mirrors = (await rig.diskUsage.list()).filter(({ description }) =>
    description.startsWith('shared git repo'),
  );
  assert.equal(mirrors.length, 1);
});

test('builds that want the same repository at the same time wait for each other', async () => {
  const commits = ['one', 'two', 'three'].map((text) => rig.repository.commit({ a: text }));
  const directories = await Promise.all(commits.map((commit) => rig.snapshot(`app.git#${commit}`)));
  assert.deepEqual(
    directories.map((directory) => readFileSync(path.join(directory, 'a'), 'utf8')),
    ['one', 'two', 'three'],
  );
});

test('servers that give only what refs point to are asked for all of it', async () => {
  rig.server.behaviour.kind = 'old';
  const first = rig.repository.commit({ a: 'one' });
  rig.repository.commit({ a: 'two' });
  assert.deepEqual(listing(await rig.snapshot('app.git#main')), { a: '644 two' });
  assert.deepEqual(listing(await rig.snapshot(`app.git#${first}`)), { a: '644 one' });
  const unknown = first.replace(/./g, 'b');
  await assert.rejects(rig.snapshot(`app.git#${unknown}`), { code: 'not_found' });
});

test('servers of files without a git work too', async () => {
  rig.server.behaviour.kind = 'dumb';
  const first = rig.repository.commit({ a: 'one' });
  rig.repository.commit({ a: 'two' });
  assert.deepEqual(listing(await rig.snapshot('app.git#main')), { a: '644 two' });
  assert.deepEqual(listing(await rig.snapshot(`app.git#${first}`)), { a: '644 one' });
  const library = new GitRepository(path.join(rig.dir, 'served/library.git'));
  rig.repository.addSubmodule('library', '../library.git', library.commit({ l: 'l' }));
  const kept = await rig.snapshot('app.git#main', { 'git.keepgitdir': 'true' });
  assert.equal(gitIn(kept, 'status', '--porcelain'), '');
  assert.match(listing(kept)['library/l'] ?? '', /^644 l$/);
});

test('a damaged mirror is made anew', async () => {
  const commit = rig.repository.commit({ a: 'a' });
  await rig.snapshot('app.git');
  const mirror = execFileSync('find', [path.join(rig.dir, 'snapshots'), '-name', '*.pack'], {
    encoding: 'utf8',
  }).trim();
  rmSync(mirror);
  assert.deepEqual(listing(await rig.snapshot(`app.git#${commit}`)), { a: '644 a' });
  rmSync(
    execFileSync('find', [path.join(rig.dir, 'snapshots'), '-name', '*.pack'], { encoding: 'utf8' }).trim(),
  );
  rig.repository.commit({ b: 'b' });
  assert.deepEqual(listing(await rig.snapshot('app.git#main')), { a: '644 a', b: '644 b' });
});

test('what a killed git left does not stop the next one', async () => {
  rig.repository.commit({ a: 'a' });
  await rig.snapshot('app.git');
  const shallow = execFileSync('find', [path.join(rig.dir, 'snapshots'), '-name', 'shallow'], {
    encoding: 'utf8',
  }).trim();
  symlinkSync('nowhere', `${shallow}.lock`);
  rig.repository.commit({ a: 'b' });
  assert.deepEqual(listing(await rig.snapshot('app.git')), { a: '644 b' });
});
