import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { mustRun, type Running, startProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** A build in process that has the root until `end` is called. */
async function buildThatHolds(kiln: Kiln, work: WorkDirectory): Promise<{ build: Running; end: () => void }> {
  await mustRun('mkfifo', [work.at('pipe')]);
  const context = work.tree({ Dockerfile: 'FROM base\nRUN --mount=type=secret,id=s true\n' });
  const build = kiln.start(context, ['--secret', `id=s,src=${work.at('pipe')}`]);
  await build.said('RUN --mount=type=secret');
  return { build, end: () => void startProgram('sh', ['-c', 'printf go > "$0"', work.at('pipe')]) };
}

test('builds in process that are started at once on one root work one after the other, and say for whom they wait', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  const { build, end } = await buildThatHolds(kiln, work);
  const context = work.tree({ Dockerfile: 'FROM base\nRUN true\n' });
  const waits = `waiting until process ${build.pid} has ended, which works on ${work.at('root')}`;
  const others = [[], ['--progress', 'quiet']].map((args) => kiln.start(context, args));
  for (const other of others) await other.said(waits);
  const silent = kiln.start(context, ['--progress', 'rawjson']);
  const usage = kiln.run(['du']);
  end();
  assert.equal((await build.finished).code, 0);
  for (const other of others) {
    const { code, stderr } = await other.finished;
    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/^waiting until /gm)?.length, 1, stderr);
  }
  const { code, stderr } = await silent.finished;
  assert.equal(code, 0, stderr);
  for (const line of stderr.trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line);
  assert.equal((await usage).code, 0);
});

test('who waits for a root gives up at Ctrl-C, and a daemon does not wait for one', async () => {
  using work = new WorkDirectory();
  const root = work.at('root');
  const kiln = new Kiln({ root });
  const { build, end } = await buildThatHolds(kiln, work);
  const other = kiln.start(work.tree({ Dockerfile: 'FROM base\nRUN true\n' }));
  await other.said('waiting until process');
  other.kill('SIGINT');
  assert.equal((await other.finished).code, 130);
  await assert.rejects(Daemon.start({ root }), new RegExp(`${root} is in use by .*process ${build.pid}`));
  end();
  assert.equal((await build.finished).code, 0);
});
