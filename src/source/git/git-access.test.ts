import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { KilnError } from '../../base/errors.ts';
import { type ProgressWriter, silentProgress } from '../../base/progress.ts';
import { GitRepository } from './git-rig.ts';
import { directoryOf, GitSourceRig, gitIn, listing } from './git-source-rig.ts';

let rig: GitSourceRig;
beforeEach(async () => {
  rig = await GitSourceRig.open();
});
afterEach(() => rig[Symbol.asyncDispose]());

test('secrets of the client open a repository, those for its host first', async () => {
  rig.repository.commit({ a: 'a' });
  const basic = (token: string) => `basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  const attrs = { 'git.authtokensecret': 'TOKEN', 'git.authheadersecret': 'HEADER' };
  rig.server.behaviour.authorization = basic('right');
  await assert.rejects(rig.key('app.git', attrs), (error: KilnError) => {
    assert.equal(error.code, 'unauthenticated');
    assert.match(error.message, /app\.git/);
    assert.match(error.hint ?? '', /--secret id=GIT_AUTH_TOKEN/);
    return true;
  });
  rig.secrets.set('TOKEN', 'wrong');
  await assert.rejects(rig.key('app.git', attrs), { code: 'unauthenticated' });
  rig.secrets.set(`TOKEN.${rig.server.host}`, 'right\n');
  assert.deepEqual(listing(await rig.snapshot('app.git', attrs)), { a: '644 a' });
  rig.server.behaviour.authorization = 'bearer abc';
  rig.secrets.set('HEADER', 'bearer abc');
  await assert.rejects(rig.key('app.git', attrs), { code: 'unauthenticated' });
  rig.secrets.set(`HEADER.${rig.server.host}`, 'bearer abc');
  await rig.key('app.git', attrs);
});

test('a token for one repository is not shown to another', async () => {
  const other = new GitRepository(path.join(rig.dir, 'served/other.git'));
  rig.repository.commit({ a: 'a' });
  rig.repository.addSubmodule('sub', '../other.git', other.commit({ b: 'b' }));
  const seen = new Map<string, string | undefined>();
  rig.server.behaviour.onRequest = ({ url, headers }) => {
    seen.set(url!.split('/')[1]!, headers.authorization);
  };
  rig.secrets.set('TOKEN', 'secret');
  for (const keep of ['false', 'true']) {
    seen.clear();
    await rig.snapshot('app.git', { 'git.authtokensecret': 'TOKEN', 'git.keepgitdir': keep });
    assert.equal(seen.get('other.git'), undefined);
    assert.ok(seen.has('other.git'));
  }
});

test('credentials in a URL are used, and shown nowhere', async () => {
  rig.repository.commit({ a: 'a' });
  rig.server.behaviour.authorization = `Basic ${Buffer.from('user:pass').toString('base64')}`;
  const said: string[] = [];
  const progress: ProgressWriter = { ...silentProgress, status: ({ id }) => said.push(id) };
  const attrs = { 'git.fullurl': `http://user:pass@${rig.server.host}/app.git`, 'git.keepgitdir': 'true' };
  const ref = await rig.snapshotRef('app.git', attrs, rig.context({ progress }));
  const directory = await directoryOf(ref);
  assert.equal(
    gitIn(directory, 'remote', 'get-url', 'origin'),
    `http://xxxxx:xxxxx@${rig.server.host}/app.git`,
  );
  const told = [...said, ...(await rig.diskUsage.list()).map(({ description }) => description)].join('\n');
  assert.doesNotMatch(told, /pass/);
  assert.equal(spawnSync('grep', ['-rq', 'user:pass', rig.dir]).status, 1);
  rig.server.behaviour.authorization = 'other';
  await assert.rejects(rig.key('app.git', attrs), (error: KilnError) => {
    assert.doesNotMatch(error.message, /pass/);
    return error.code === 'unauthenticated';
  });
});
