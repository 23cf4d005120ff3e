import assert from 'node:assert/strict';
import { cpSync, existsSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { leftoversOf } from '../rig/leftovers.ts';
import { project } from '../rig/project.ts';
import { mustRun } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

test('the quickstart builds, and its second run is fully cached and says so', async () => {
  using work = new WorkDirectory();
  // A checkout of its own, for the state that the quickstart keeps in it.
  for (const name of ['bin', 'src', 'scripts', 'examples', 'package.json']) {
    cpSync(path.join(project.root, name), work.at(name), { recursive: true });
  }
  symlinkSync(path.join(project.root, 'node_modules'), work.at('node_modules'));
  const quickstart = async () =>
    (await mustRun(process.execPath, [work.at('scripts/quickstart.ts')], { cwd: work.path })).stdout;

  const first = await quickstart();
  assert.match(first, /^Built: \d+ steps ran\.$/m);
  assert.match(first, /Run it again.*npm run quickstart/);
  const archive = /^The image is an OCI archive: (.*)$/m.exec(first)?.[1];
  assert.ok(archive && existsSync(work.at(archive)), first);

  const second = await quickstart();
  assert.match(second, /^Everything was cached: all \d+ steps were found, none ran\.$/m);
  assert.deepEqual(leftoversOf(work.path), []);
});
