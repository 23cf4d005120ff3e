import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../src/base/testing/random.ts';
import { Kiln } from '../rig/kiln.ts';
import { openArchive } from '../rig/oci-archive.ts';
import { project } from '../rig/project.ts';
import { mustRun, type Running, startProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { whatIsLeft } from './what-is-left.ts';

const seed = 4711;
/** How often the daemon is killed: a few times, or as the environment says (`npm run test:kill`). */
const rounds = Number(process.env.KILN_KILLS ?? 8);
/** After this many kills a build is left alone, and its outcome is looked at. */
const inspectedEach = 4;

async function startDaemon(work: WorkDirectory): Promise<Running> {
  const daemon = startProgram(project.kilnd, [
    '--root',
    work.at('root'),
    '--addr',
    `unix://${work.at('sock')}`,
  ]);
  await daemon.said('running server on');
  return daemon;
}

function context(work: WorkDirectory): string {
  return work.tree({
    Dockerfile: `FROM base AS a
ARG ROUND
RUN head -c 100000 /dev/urandom > /random && echo $ROUND > /round
FROM base
COPY big /big
COPY --from=a /random /round /
RUN --mount=type=cache,target=/cache for i in 1 2 3 4 5; do echo $i > /cache/$i; sleep 0.05; done; md5sum /random > /sum
COPY files /files
RUN ls /files | wc -l > /count
RUN md5sum -c /sum && test $(cat /count) = 500 && test $(cat /files/499) = 499
`,
    big: Buffer.alloc(10_000_000, 'abc'),
    ...Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`files/${index}`, `${index}`])),
  });
}

/** Builds a round's image and looks at its layers. Returns the steps that ran. */
async function buildWhole(kiln: Kiln, tree: string, round: number, work: WorkDirectory) {
  const archive = work.at('whole.tar');
  const { events } = await kiln.build(tree, [...roundArguments(round), '-o', `type=oci,dest=${archive}`]);
  const { manifest, directory } = await openArchive(archive, work);
  const files: string[] = [];
  for (const { digest } of manifest.layers) {
    const blob = `${directory}/blobs/${digest.replace(':', '/')}`;
    assert.equal(`sha256:${createHash('sha256').update(readFileSync(blob)).digest('hex')}`, digest);
    files.push(...(await mustRun('tar', ['-tf', blob])).stdout.split('\n'));
  }
  assert.equal(files.filter((name) => /^files\/\d+$/.test(name)).length, 500);
  return events.steps('ran');
}

function roundArguments(round: number): readonly string[] {
  return ['--build-arg', `ROUND=${round}`];
}

test('a daemon killed at any moment starts clean on the same root, keeps completed steps, and builds right', async (t) => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ address: `unix://${work.at('sock')}` });
  const tree = context(work);
  const archive = work.at('image.tar');
  const random = new Random(seed);
  let daemon = await startDaemon(work);
  try {
    const began = performance.now();
    let inspected = 0;
    await buildWhole(kiln, tree, inspected, work);
    const duration = performance.now() - began;
    for (let round = 1; round <= rounds; round++) {
      const build = kiln.start(tree, [
        ...roundArguments(round),
        '-o',
        `type=oci,dest=${archive}`,
        ...(random.chance(0.3) ? ['--no-cache'] : []),
      ]);
      const after = random.below(Math.round(duration));
      t.diagnostic(`round ${round} of seed ${seed}: killed after ${after} ms`);
      await Promise.race([delay(after), build.finished]);
      daemon.kill('SIGKILL');
      await daemon.finished;
      const { code, stderr } = await build.finished;
      assert.ok(code === 0 || code === 1, stderr);
      if (code === 1) assert.equal(stderr.match(/^error: /gm)?.length, 1, stderr);
      // An output is there whole, or not at all.
      if (existsSync(archive)) await mustRun('tar', ['-tf', archive]);

      daemon = await startDaemon(work);
      assert.deepEqual(whatIsLeft(work.at('root')), [], `after round ${round}`);
      if (round % inspectedEach !== 0) continue;
      assert.deepEqual(await buildWhole(kiln, tree, inspected, work), [], `kept until round ${round}`);
      await buildWhole(kiln, tree, round, work);
      inspected = round;
    }
  } finally {
    daemon.kill('SIGTERM');
    assert.equal((await daemon.finished).code, 0);
  }
  assert.deepEqual(whatIsLeft(work.at('root')), []);
});

test('completed steps are still cached after the daemon was killed in the step that followed', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ address: `unix://${work.at('sock')}` });
  const daemon = await startDaemon(work);
  const build = kiln.start(
    work.tree({ Dockerfile: 'FROM base\nRUN echo one > /one\nRUN echo started; sleep 1000\n' }),
  );
  await build.said(' started\n');
  daemon.kill('SIGKILL');
  const { code, stderr } = await build.finished;
  assert.equal(code, 1);
  assert.match(stderr, /error: failed to solve: the connection to the build engine was lost/);

  const again = await startDaemon(work);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
  const { events } = await kiln.build(
    work.tree({ Dockerfile: 'FROM base\nRUN echo one > /one\nRUN true\n' }),
  );
  assert.equal(events.steps('cached').length, 1);
  again.kill('SIGTERM');
  assert.equal((await again.finished).code, 0);
});

test('after a crash of the machine, what was not flushed to the disk is built again, and the rest is cached', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  const first = work.tree({ Dockerfile: 'FROM base\nRUN echo one > /one\n' });
  const second = work.tree({ Dockerfile: 'FROM base\nRUN echo one > /one\nRUN echo two > /two\n' });
  const daemon = await startDaemon(work);
  await new Kiln({ address: `unix://${work.at('sock')}` }).build(first);
  // Stopping it brings everything to the disk; an engine in process leaves that to the kernel.
  daemon.kill('SIGTERM');
  await daemon.finished;
  await kiln.build(second);

  const database = new DatabaseSync(work.at('root/kiln.db'));
  database.exec("UPDATE disk_flush SET boot_id = 'another'");
  database.close();
  const { events } = await kiln.build(second);
  assert.equal(events.steps('cached').length, 1);
  assert.equal(events.steps('ran').length, 1);
  assert.equal((await kiln.build(second)).events.steps('ran').length, 0);
});
