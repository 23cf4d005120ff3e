import assert from 'node:assert/strict';
import { closeSync, constants, openSync } from 'node:fs';
import { test } from 'node:test';
import { errnoOf } from '../../src/base/errors.ts';
import { Daemon } from '../rig/daemon.ts';
import { eventually } from '../rig/eventually.ts';
import { Kiln } from '../rig/kiln.ts';
import { mustRun } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { whatIsLeft } from './what-is-left.ts';

const endless = { Dockerfile: 'FROM base\nRUN echo kept > /kept\nRUN echo started; sleep 1000\n' };
const next = { Dockerfile: 'FROM base\nRUN echo kept > /kept\nRUN true\n' };

/** Completed steps are still cached, and what was interrupted is not taken for complete. */
async function assertWorks(kiln: Kiln, work: WorkDirectory): Promise<void> {
  const { events } = await kiln.build(work.tree(next));
  assert.deepEqual(
    events.steps('cached').map((name) => name.replace(/^\[[^\]]*\] /, '')),
    ['RUN echo kept > /kept'],
  );
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends a build in process in order, and leaves nothing behind`, async () => {
    using work = new WorkDirectory();
    const kiln = new Kiln({ root: work.at('root') });
    const build = kiln.start(work.tree(endless));
    await build.said(' started\n');
    build.kill(signal);
    const { code, stderr } = await build.finished;
    assert.equal(code, 130);
    assert.match(stderr, /canceling; press Ctrl-C again to exit at once\n[\s\S]*CANCELED\ncanceled\n$/);
    assert.deepEqual(whatIsLeft(work.at('root')), []);
    await assertWorks(kiln, work);
  });
}

test('SIGINT ends a build that waits for a secret from a pipe to which nothing is written', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  await mustRun('mkfifo', [work.at('pipe')]);
  const context = work.tree({ Dockerfile: 'FROM base\nRUN --mount=type=secret,id=s true\n' });
  const build = kiln.start(context, ['--secret', `id=s,src=${work.at('pipe')}`]);
  // There is somebody to write to once it is being read.
  let writer: number | undefined;
  const open = () => {
    try {
      writer = openSync(work.at('pipe'), constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (errnoOf(error) !== 'ENXIO') throw error;
    }
    return writer !== undefined;
  };
  await eventually(open, () => 'nobody reads the pipe');
  build.kill('SIGINT');
  assert.equal((await build.finished).code, 130);
  closeSync(writer!);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
});

for (const [name, signals] of [
  ['a second Ctrl-C', ['SIGINT', 'SIGINT']],
  ['SIGKILL', ['SIGKILL']],
] as const) {
  test(`${name} ends a build in process at once, and the next start cleans up`, async () => {
    using work = new WorkDirectory();
    const kiln = new Kiln({ root: work.at('root') });
    const build = kiln.start(work.tree(endless));
    await build.said(' started\n');
    for (const signal of signals) {
      build.kill(signal);
      if (signal === 'SIGINT') await build.said('canceling');
    }
    const { code } = await build.finished;
    assert.equal(code, name === 'SIGKILL' ? null : 130);
    await kiln.must(['du']);
    assert.deepEqual(whatIsLeft(work.at('root')), []);
    await assertWorks(kiln, work);
  });
}

for (const signals of [['SIGINT'], ['SIGINT', 'SIGINT'], ['SIGKILL']] as const) {
  test(`a daemon ends the build of a client that is gone by ${signals.join(' and ')}, and cleans up`, async () => {
    using work = new WorkDirectory();
    await using daemon = await Daemon.start();
    const build = daemon.kiln.start(work.tree(endless));
    await build.said(' started\n');
    for (const signal of signals) build.kill(signal);
    await build.finished;
    await eventually(
      () => whatIsLeft(daemon.root).length === 0,
      () => whatIsLeft(daemon.root),
    );
    await assertWorks(daemon.kiln, work);
  });
}

test('a daemon that is told to stop cancels its builds, says so to their clients, and exits with 0', async () => {
  using work = new WorkDirectory();
  await using daemon = await Daemon.start();
  const build = daemon.kiln.start(work.tree(endless));
  await build.said(' started\n');
  await daemon.stop();
  const { code, stderr } = await build.finished;
  assert.equal(code, 1);
  assert.match(stderr, /error: failed to solve: the daemon is shutting down\n$/);
  assert.deepEqual(whatIsLeft(daemon.root), []);
});
