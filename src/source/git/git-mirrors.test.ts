import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { silentProgress } from '../../base/progress.ts';
import { openRefStoreRig } from '../../ref/ref-store-rig.ts';
import { Git } from './git.ts';
import { GitMirrors } from './git-mirrors.ts';
import { GitRepository, GitServer } from './git-rig.ts';

test('a mirror that holds as many commits as it may is made anew for the next one', async () => {
  await using resources = new AsyncDisposableStack();
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-git-mirrors-'));
  resources.defer(() => rmSync(dir, { recursive: true }));
  const { cacheDirectories } = await openRefStoreRig(dir, resources);
  const server = resources.use(await GitServer.start(path.join(dir, 'served')));
  const repository = new GitRepository(path.join(dir, 'served/app.git'));
  const mirrors = new GitMirrors(cacheDirectories, { commitLimit: 2 });
  const signal = AbortSignal.timeout(60_000);
  const context = { git: Git.create(signal), signal, progress: silentProgress };
  const remote = server.url('app.git');
  const held: (readonly string[])[] = [];
  const commits = ['one', 'two', 'three'].map((text) => repository.commit({ text }));
  for (const object of commits) {
    await mirrors.use({ remote, shown: remote, object }, context, async ({ directory, git }) => {
      held.push(readdirSync(path.join(directory, 'refs/kiln')));
      assert.equal(await git.run(['cat-file', '-t', object]), 'commit\n');
    });
  }
  const [first, second, third] = commits;
  assert.deepEqual(
    held.map((names) => new Set(names)),
    [new Set([first]), new Set([first, second]), new Set([third])],
  );
});
