import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { KilnError } from '../../base/errors.ts';
import { hostPlatform } from '../../base/platform.ts';
import { type StatusEvent, silentProgress } from '../../base/progress.ts';
import type { Attributes } from '../../base/text/attributes.ts';
import { GitRepository } from './git-rig.ts';
import { directoryOf, GitSourceRig, gitIn, listing } from './git-source-rig.ts';

let rig: GitSourceRig;
beforeEach(async () => {
  rig = await GitSourceRig.open();
});
afterEach(() => rig[Symbol.asyncDispose]());

test('the files of the default branch are checked out, whatever the umask is', async () => {
  const commit = rig.repository.commit({
    'a.txt': 'a',
    'bin/run': { program: '#!/bin/sh\n' },
    'bin/deep/b': 'b',
    link: { link: 'a.txt' },
  });
  const before = process.umask(0o077);
  try {
    const ref = await rig.snapshotRef('app.git');
    assert.deepEqual(listing(await directoryOf(ref)), {
      'a.txt': '644 a',
      bin: '755/',
      'bin/run': '755 #!/bin/sh\n',
      'bin/deep': '755/',
      'bin/deep/b': '644 b',
      link: '-> a.txt',
    });
    assert.equal((await rig.key('app.git')).pin, commit);
    const usage = await rig.diskUsage.list();
    assert.deepEqual(usage.map(({ type, description, mutable }) => [type, description, mutable]).sort(), [
      ['regular', `shared git repo for ${rig.server.url('app.git')}`, true],
      ['source.git.checkout', `git snapshot for ${rig.server.url('app.git')}#refs/heads/main`, false],
    ]);
  } finally {
    process.umask(before);
  }
});

test('a commit has one key, however it is named', async () => {
  const commit = rig.repository.commit({ a: 'a' });
  rig.repository.git('tag', 'light');
  rig.repository.git('tag', '--annotate', '--message=x', 'v1');
  rig.repository.git('update-ref', 'refs/pull/1/head', commit);
  const tag = rig.repository.git('rev-parse', 'v1');
  const names = [
    '',
    '#main',
    '#heads/main',
    '#refs/heads/main',
    '#light',
    '#refs/tags/light',
    '#v1',
    '#tags/v1',
    '#pull/1/head',
    `#${commit}`,
    `#${tag}`,
  ];
  const keys = await Promise.all(names.map((name) => rig.key(`app.git${name}`)));
  const digests = keys.map(({ digest }) => digest);
  assert.deepEqual(digests.slice(0, -1), Array(names.length - 1).fill(digests[0]));
  assert.deepEqual(
    keys.map(({ pin }) => pin),
    names.map((name) => (/v1$/.test(name) || name === `#${tag}` ? tag : commit)),
  );
  for (const name of ['app.git#v1', `app.git#${tag}`]) {
    assert.deepEqual(listing(await rig.snapshot(name)), { a: '644 a' });
  }
});

test('a branch is meant before a tag of its name', async () => {
  rig.repository.commit({ a: 'tagged' });
  rig.repository.git('tag', 'both');
  rig.repository.git('checkout', '--quiet', '-b', 'both');
  rig.repository.commit({ a: 'branch' });
  assert.deepEqual(listing(await rig.snapshot('app.git#both')), { a: '644 branch' });
  assert.deepEqual(listing(await rig.snapshot('app.git#refs/tags/both')), { a: '644 tagged' });
});

test('what counts for the files counts for the key', async () => {
  rig.repository.commit({ 'dir/a': 'a' });
  const attributes: Attributes[] = [
    {},
    { 'git.keepgitdir': 'true' },
    { 'git.skipsubmodules': 'true' },
    { 'git.mtime': 'commit' },
  ];
  const keys = [
    ...(await Promise.all(attributes.map((attrs) => rig.key('app.git', attrs)))),
    await rig.key('app.git#main:dir'),
  ].map(({ digest }) => digest);
  assert.equal(new Set(keys).size, keys.length);
  const named = await rig.key('app.git#refs/heads/main', { 'git.keepgitdir': 'true' });
  assert.equal(named.digest, keys[1]);
});

test('a build sees one commit under one name; the next build sees the new one', async () => {
  const first = rig.repository.commit({ a: 'one' });
  const build = rig.context();
  assert.equal((await rig.key('app.git#main', {}, build)).pin, first);
  const second = rig.repository.commit({ a: 'two' });
  assert.equal((await rig.key('app.git#main', {}, build)).pin, first);
  assert.equal((await rig.key('app.git#main')).pin, second);
});

test('the commit of the key is checked out, also when the ref has moved on since', async () => {
  rig.repository.commit({ a: 'one' });
  const instance = rig.open('app.git#main');
  const build = rig.context();
  await instance.key(build);
  rig.repository.git('commit', '--quiet', '--amend', '--message=it is gone from the branch');
  rig.repository.commit({ a: 'two' });
  const ref = rig.resources.adopt(await instance.snapshot(build), (held) => held.release());
  assert.deepEqual(listing(await directoryOf(ref)), { a: '644 one' });
});

test('a checksum is compared with the commit, or the tag of it', async () => {
  const commit = rig.repository.commit({ a: 'a' });
  rig.repository.git('tag', '--annotate', '--message=x', 'v1');
  const tag = rig.repository.git('rev-parse', 'v1');
  const check = (name: string, checksum: string) => rig.key(name, { 'git.checksum': checksum });
  for (const checksum of [commit, commit.slice(0, 7), commit.toUpperCase()])
    await check('app.git#main', checksum);
  for (const checksum of [commit, tag.slice(0, 10)]) await check('app.git#v1', checksum);
  await check(`app.git#${commit}`, commit.slice(0, 12));
  const other = commit.replace(/./g, (digit) => (digit === 'a' ? 'b' : 'a'));
  for (const name of ['app.git#main', 'app.git#v1', `app.git#${commit}`]) {
    await assert.rejects(check(name, other), {
      code: 'failed_precondition',
      message: new RegExp(`expected checksum to match ${other}, got ([0-9a-f]+ or )?${commit}`),
    });
  }
  assert.throws(() => rig.open('app.git', { 'git.checksum': 'v1' }), { code: 'invalid_argument' });
});

test('with fetch-by-commit the remote is not asked what the ref is', async () => {
  const first = rig.repository.commit({ a: 'one' });
  rig.repository.commit({ a: 'two' });
  const attrs = { 'git.fetchbycommit': 'true', 'git.checksum': first };
  assert.equal((await rig.key('app.git#main', attrs)).pin, first);
  assert.deepEqual(rig.server.requests, []);
  const directory = await rig.snapshot('app.git#main', { ...attrs, 'git.keepgitdir': 'true' });
  assert.equal(gitIn(directory, 'rev-parse', 'refs/heads/main'), first);
  for (const checksum of ['', first.slice(0, 9)]) {
    assert.throws(() => rig.open('app.git', { 'git.fetchbycommit': 'true', 'git.checksum': checksum }), {
      code: 'invalid_argument',
      message: /fetch-by-commit requires a/,
    });
  }
});

test('a ref that does not exist is an error that names it, the repository, and what may be meant', async () => {
  const commit = rig.repository.commit({ a: 'a' });
  const fails = (name: string, hint: RegExp) =>
    assert.rejects(rig.key(name), (error: KilnError) => {
      assert.equal(error.code, 'not_found');
      assert.ok(
        error.message.startsWith(
          `repository does not contain ref ${name.split('#')[1]}: ${rig.server.url('app.git')}`,
        ),
      );
      assert.match(error.hint ?? '', hint);
      return true;
    });
  await fails('app.git#mian', /did you mean main\?/);
  await fails('app.git#something-else', /name a branch, a tag/);
  await fails(`app.git#${commit.slice(0, 8)}`, /write all its digits/);
  new GitRepository(path.join(rig.dir, 'served/empty.git'));
  await assert.rejects(rig.key('empty.git'), { code: 'not_found', message: /empty\.git is empty/ });
  const unknown = commit.replace(/./g, 'a');
  await assert.rejects(rig.snapshot(`app.git#${unknown}`), {
    code: 'not_found',
    message: new RegExp(`commit ${unknown}`),
  });
  await assert.rejects(rig.key('none.git'), { code: 'not_found', message: /none\.git/ });
});

test('who asks is told what a ref is, and what git keeps of it', async () => {
  const commit = rig.repository.commit({ a: 'a' });
  rig.repository.git('tag', '--annotate', '--message=x', 'v1');
  const tag = rig.repository.git('rev-parse', 'v1');
  const describe = (name: string, withObjects = false) =>
    rig.source.resolveCommit(rig.opOf(name), { withObjects }, rig.context());
  const nothing = { commit: undefined, commitObject: undefined, tagObject: undefined };
  assert.deepEqual(await describe('app.git'), { ref: 'refs/heads/main', object: commit, ...nothing });
  assert.deepEqual(await describe(`app.git#${tag}`), { ref: tag, object: tag, ...nothing });
  assert.deepEqual((await rig.diskUsage.list()).length, 0);
  const content = (object: string, type: string) =>
    Buffer.from(`${rig.repository.git('cat-file', type, object)}\n`);
  for (const name of ['app.git#v1', `app.git#${tag}`]) {
    const { ref, ...told } = await describe(name, true);
    assert.equal(ref, name.endsWith('v1') ? 'refs/tags/v1' : tag);
    assert.deepEqual(told, {
      object: tag,
      commit,
      commitObject: content(commit, 'commit'),
      tagObject: content(tag, 'tag'),
    });
  }
  const { commit: peeled, tagObject } = await describe('app.git#main', true);
  assert.deepEqual([peeled, tagObject], [undefined, undefined]);
});

test('identifiers and attributes that make no sense are refused', () => {
  const refuse = (identifier: string, attrs: Attributes, code: string, message: RegExp) =>
    assert.throws(() => rig.source.open({ identifier, attrs }, hostPlatform()), { code, message });
  refuse('git://h/r.git#--upload-pack=x', {}, 'invalid_argument', /invalid git ref "--upload-pack=x"/);
  refuse('git://h/r', { 'git.fullurl': 'file:///etc' }, 'invalid_argument', /is no git repository/);
  refuse('git://h/r', { 'git.mtime': 'now' }, 'invalid_argument', /want checkout or commit/);
});

test('repositories with SHA-256 names work', async () => {
  const modern = new GitRepository(path.join(rig.dir, 'served/modern.git'), { format: 'sha256' });
  const commit = modern.commit({ a: 'a' });
  assert.equal(commit.length, 64);
  assert.deepEqual(listing(await rig.snapshot('modern.git')), { a: '644 a' });
  const kept = await rig.snapshot(`modern.git#${commit}`, { 'git.keepgitdir': 'true' });
  assert.equal(gitIn(kept, 'rev-parse', 'HEAD'), commit);
});

test('an abort ends git and leaves nothing', async () => {
  rig.repository.commit({ a: 'a' });
  const stop = new AbortController();
  const asked = Promise.withResolvers<void>();
  const instance = rig.open('app.git');
  const build = rig.context({ signal: stop.signal });
  await instance.key(build);
  rig.server.behaviour.onRequest = ({ method }) => {
    if (method !== 'POST') return;
    asked.resolve();
    return new Promise<void>(() => {});
  };
  const failure = assert.rejects(instance.snapshot(build), { code: 'canceled' });
  await asked.promise;
  stop.abort();
  await failure;
  assert.equal(childrenNamed(rig.server.host), '');
  assert.deepEqual(
    (await rig.diskUsage.list()).map(({ description, inUse }) => [description, inUse]),
    [[`shared git repo for ${rig.server.url('app.git')}`, false]],
  );
  delete rig.server.behaviour.onRequest;
  assert.deepEqual(listing(await rig.snapshot('app.git')), { a: '644 a' });
});

test('what goes on is shown, with the bytes that came', async () => {
  rig.repository.commit({ a: 'a' });
  const events: StatusEvent[] = [];
  const progress = { ...silentProgress, status: (event: StatusEvent) => events.push(event) };
  await rig.snapshot('app.git#main', {}, rig.context({ progress }));
  const ended = events.filter(({ completed }) => completed);
  assert.deepEqual(
    ended.map(({ id }) => id),
    [
      `resolve ${rig.server.url('app.git')}#main`,
      `fetch ${rig.server.url('app.git')}`,
      `checkout ${rig.server.url('app.git')}`,
    ],
  );
  assert.ok(ended[1]!.current! > 0);
});

test('without a git program the error says so', async () => {
  const before = process.env.PATH;
  const empty = path.join(rig.dir, 'bin');
  mkdirSync(empty);
  symlinkSync('/bin/sh', path.join(empty, 'sh'));
  process.env.PATH = empty;
  try {
    await assert.rejects(rig.key('app.git'), {
      code: 'failed_precondition',
      message: /there is no git program/,
    });
  } finally {
    process.env.PATH = before;
  }
});

function childrenNamed(text: string): string {
  const running = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  return running
    .split('\n')
    .filter((line) => line.startsWith('git') && line.includes(text))
    .join('\n');
}
