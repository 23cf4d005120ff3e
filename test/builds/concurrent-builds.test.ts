import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readBuildEvents } from '../rig/build-events.ts';
import { eventually } from '../rig/eventually.ts';
import { mustRun } from '../rig/run-program.ts';
import { runningProcesses } from '../rig/running-processes.ts';
import { daemonRig } from '../rig/suite-rig.ts';

/** The shared stage says a random number, and takes long enough for another build to join it. */
const sharedStage = (name: string) => `
FROM base AS shared
RUN echo "shared step of ${name} starts" && sleep 2 && od -An -N8 -tx8 /dev/urandom | tee /random
`;

describe('two builds at once that share a stage', () => {
  const rig = daemonRig();

  test('run its steps once, and both see them progress', async () => {
    const start = (own: string) => {
      const out = rig.work.at(own);
      const context = rig.work.tree({
        Dockerfile: `${sharedStage('run-once')}FROM shared\nRUN echo ${own} > /own\n`,
      });
      const running = rig.kiln.start(context, ['--progress', 'rawjson', '-o', `type=tar,dest=${out}`]);
      const random = async () => (await mustRun('tar', ['-xOf', out, 'random'])).stdout.trim();
      return { running, random };
    };
    const builds = [start('one'), start('two')];
    const ends = await Promise.all(builds.map(({ running }) => running.finished));
    for (const { code, stderr } of ends) assert.equal(code, 0, stderr);
    const randoms = await Promise.all(builds.map(({ random }) => random()));
    assert.match(randoms[0] ?? '', /^[0-9a-f]{16}$/);
    assert.equal(randoms[1], randoms[0]);
    for (const { stderr } of ends) {
      const events = readBuildEvents(stderr);
      const shared = events.vertex('shared step of run-once');
      assert.ok(shared.started && shared.completed);
      // Neither found it in the cache: it ran for both.
      assert.notEqual(shared.cached, true);
      assert.ok(events.log('shared step of run-once').includes(randoms[0]!));
    }
  });

  test('go on when the other one is cancelled, whichever started first', async () => {
    for (const cancelled of [0, 1]) {
      const start = (own: string) =>
        rig.kiln.start(
          rig.work.tree({
            Dockerfile: `${sharedStage(`cancel-${cancelled}`)}FROM shared\nRUN echo ${own}\n`,
          }),
        );
      const builds = [start('one'), start('two')];
      // Both show the output of the shared step before one of them is cancelled.
      await Promise.all(builds.map((build) => build.said(` shared step of cancel-${cancelled} starts\n`)));
      builds[cancelled]!.kill('SIGINT');
      const stopped = await builds[cancelled]!.finished;
      assert.equal(stopped.code, 130, stopped.stderr);
      assert.match(stopped.stderr, /CANCELED/);
      const kept = await builds[1 - cancelled]!.finished;
      assert.equal(kept.code, 0, kept.stderr);
    }
  });

  test('cancelling both ends the shared step', async () => {
    // Unlike any other process of the machine, so that it is found only if it is this one.
    const sleep = `sleep ${86_400 + process.pid}`;
    const start = () =>
      rig.kiln.start(rig.work.tree({ Dockerfile: `FROM base\nRUN echo sleeping && exec ${sleep}\n` }));
    const builds = [start(), start()];
    await Promise.all(builds.map((build) => build.said(' sleeping\n')));
    const sleeping = () => runningProcesses().filter(({ args }) => args.join(' ') === sleep);
    assert.equal(sleeping().length, 1);
    for (const build of builds) build.kill('SIGINT');
    for (const build of builds) assert.equal((await build.finished).code, 130);
    // The step ends soon after its builds have: nothing that is left of it keeps a process.
    await eventually(
      () => sleeping().length === 0,
      () => `${sleep} still runs`,
    );
  });

  test('that are unlike run their steps in parallel', async () => {
    // Each waits for the other through a cache mount, so neither would end if they took turns.
    const context = (own: string, other: string) =>
      rig.work.tree({
        Dockerfile: `
FROM base
RUN --mount=type=cache,id=parallel,target=/meet touch /meet/${own} && \\
    for i in $(seq 200); do test -e /meet/${other} && exit 0; sleep 0.1; done; exit 1
`,
      });
    await Promise.all([rig.kiln.build(context('a', 'b')), rig.kiln.build(context('b', 'a'))]);
  });
});
