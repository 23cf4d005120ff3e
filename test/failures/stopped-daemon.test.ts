import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawServer } from '../../src/http/raw-server-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { project } from '../rig/project.ts';
import { mustRun, type Running, startProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { whatIsLeft } from './what-is-left.ts';

/** Builds that wait for what never comes; resolves when all of them do. */
async function stuckBuilds(
  kiln: (index: number) => Kiln,
  work: WorkDirectory,
  resources: AsyncDisposableStack,
): Promise<readonly Running[]> {
  const mute = async () => resources.use(await RawServer.start());
  const [registry, http, git] = [await mute(), await mute(), await mute()];
  await mustRun('mkfifo', [work.at('pipe')]);
  const steps: readonly (readonly [string, string, readonly string[]])[] = [
    ["FROM base\nRUN trap '' TERM INT; echo started; while :; do sleep 1000; done\n", ' started\n', []],
    [`FROM ${registry.host}/x:1\n`, 'metadata for', []],
    [`FROM scratch\nADD http://${http.host}/file /\n`, 'http://', []],
    [`FROM scratch\nADD git://${git.host}/x.git /\n`, 'git://', []],
    [
      'FROM base\nRUN --mount=type=secret,id=s true\n',
      'RUN --mount=type=secret',
      ['--secret', `id=s,src=${work.at('pipe')}`],
    ],
  ];
  const builds = steps.map(([dockerfile, , args], index) =>
    kiln(index).start(work.tree({ Dockerfile: dockerfile }), args),
  );
  await Promise.all(builds.map((build, index) => build.said(steps[index]![1])));
  await Promise.all([registry.asked(), http.asked(), git.asked()]);
  return builds;
}

test('a daemon that is told to end does, whatever its builds and their clients wait for, and leaves nothing', async () => {
  using work = new WorkDirectory();
  await using resources = new AsyncDisposableStack();
  const daemon = await Daemon.start({ root: work.at('root') });
  const builds = await stuckBuilds(() => daemon.kiln, work, resources);
  // The client of the last one will not answer any more, not even to go.
  const silent = builds.at(-1)!;
  silent.kill('SIGSTOP');
  const { stderr } = await daemon.stop();
  assert.doesNotMatch(stderr, /not stopped after/);
  assert.deepEqual(whatIsLeft(daemon.root), []);
  silent.kill('SIGCONT');
  for (const build of builds) assert.notEqual((await build.finished).code, 0);
  await daemon[Symbol.asyncDispose]().catch(() => {});
});

test('a build in process that is told to end does, whatever it waits for, and leaves nothing', async () => {
  using work = new WorkDirectory();
  await using resources = new AsyncDisposableStack();
  const root = (index: number) => work.at(`root-${index}`);
  const builds = await stuckBuilds((index) => new Kiln({ root: root(index) }), work, resources);
  for (const build of builds) build.kill('SIGTERM');
  for (const [index, build] of builds.entries()) {
    const { code, stderr } = await build.finished;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /\ncanceled\n$/);
    assert.deepEqual(whatIsLeft(root(index)), []);
  }
});

test('a daemon that is told to end while it cleans up after clients that have gone leaves nothing', async () => {
  using work = new WorkDirectory();
  const daemon = await Daemon.start({ root: work.at('root') });
  await daemon.kiln.build(work.tree({ Dockerfile: 'FROM base\n' }), ['-t', 'tried']);
  const script = 'echo ready >&2; while :; do sleep 1000; done';
  const runs = Array.from({ length: 8 }, () =>
    startProgram(project.kiln, ['--addr', daemon.address, 'run', 'tried', 'sh', '-c', script]),
  );
  await Promise.all(runs.map((run) => run.said('ready')));
  for (const run of runs) run.kill('SIGKILL');
  await Promise.all(runs.map((run) => run.finished));
  const { stderr } = await daemon.stop();
  assert.doesNotMatch(stderr, /not stopped after/);
  assert.deepEqual(whatIsLeft(daemon.root), []);
});
