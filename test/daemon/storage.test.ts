import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import type { Kiln } from '../rig/kiln.ts';
import { mustRun } from '../rig/run-program.ts';
import { SmallDisk } from '../rig/small-disk.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

interface UsageLine {
  readonly size: number;
  readonly inUse?: boolean;
  readonly description?: string;
  readonly recordType?: string;
}

const usageOf = async (kiln: Kiln): Promise<readonly UsageLine[]> =>
  JSON.parse((await kiln.must(['du', '--format', 'json'])).stdout) as readonly UsageLine[];

const totalOf = (records: readonly UsageLine[]): number =>
  records.reduce((sum, { size }) => sum + Number(size), 0);

/** Bytes that the disk holds for the cache of a root. */
async function heldBy(root: string): Promise<number> {
  const { stdout } = await mustRun('du', [
    '--summarize',
    '--total',
    '--block-size=1',
    `${root}/snapshots`,
    `${root}/content`,
  ]);
  return Number(stdout.trim().split('\n').at(-1)!.split('\t')[0]);
}

async function assertUsageIsHonest(daemon: Daemon): Promise<void> {
  const records = await usageOf(daemon.kiln);
  const held = await heldBy(daemon.root);
  const told = totalOf(records);
  assert.ok(
    Math.abs(told - held) <= 0.02 * held,
    `du tells of ${told} bytes, the disk holds ${held}:\n${JSON.stringify(records, null, 1)}`,
  );
}

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

test('what du reports is what the disk holds, through rebuilds that copy much again, exports and prunes', async () => {
  using work = new WorkDirectory();
  await using daemon = await Daemon.start({ args: ['--oci-worker-gc=false'] });
  const files = (round: number) =>
    Object.fromEntries(
      Array.from({ length: 200 }, (_, index) => [
        `src/file-${index}`,
        index === round ? randomBytes(20_000) : Buffer.alloc(20_000, `${index}`),
      ]),
    );
  const dockerfile = `
FROM base AS one
COPY src /src
RUN --mount=type=cache,target=/cache head -c 3000000 /dev/urandom > /cache/data && cp /src/file-1 /copy
FROM base
COPY --link src /linked
COPY --from=one /src /again
COPY --from=one /copy /copy
`;
  const context = work.tree({ ...files(0), Dockerfile: dockerfile });
  for (const round of [1, 2, 3]) {
    const changed = work.tree(files(round));
    await mustRun('cp', ['-a', `${changed}/src`, context]);
    await daemon.kiln.build(context, ['-o', `type=oci,dest=${work.at('image.tar')}`]);
    await assertUsageIsHonest(daemon);
  }
  await daemon.kiln.build(context, ['-t', 'example.org/kept:1']);
  await daemon.kiln.must(['prune', '--filter', 'type==source.local']);
  await assertUsageIsHonest(daemon);
  await daemon.kiln.must(['prune', '--keep-storage', '10']);
  await assertUsageIsHonest(daemon);
  await daemon.kiln.must(['prune']);
  const left = await usageOf(daemon.kiln);
  assert.ok(left.some(({ description }) => description === 'image example.org/kept:1'));
  await daemon.kiln.must(['prune', '--all']);
  assert.deepEqual(
    (await usageOf(daemon.kiln)).map(({ description, inUse }) => [description, inUse]),
    [['image example.org/kept:1', true]],
  );
  await assertUsageIsHonest(daemon);
  await daemon.kiln.must(['rmi', 'example.org/kept:1']);
  assert.deepEqual(await usageOf(daemon.kiln), []);
});

describe('many builds at once on a small disk', () => {
  const count = Number(process.env.KILN_TEST_BUILDS ?? 15);
  const groups = 4;
  const megabyte = 1 << 20;

  test('all give the right result, and the disk does not run full', async () => {
    using work = new WorkDirectory();
    // In use at once: a context and a copy of it for each build, and what each group shares. Two rounds do not fit.
    await using disk = await SmallDisk.make(60 + 7 * count);
    await using daemon = await Daemon.start({ root: disk.at('root'), args: ['--debug'] });
    for (const round of [1, 2]) {
      const builds = Array.from({ length: count }, async (_, index) => {
        const group = index % groups;
        const kind = index % 5 === 3 ? 'fails' : index % 5 === 4 ? 'cancelled' : 'succeeds';
        const data = randomBytes(2 * megabyte);
        const out = work.at(`out-${round}-${index}`);
        const context = work.tree({
          data,
          Dockerfile: `
FROM base AS shared
RUN echo "group ${group} of round ${round}" > /group && head -c ${2 * megabyte} /dev/urandom > /ballast
FROM shared AS own
COPY data /data
RUN sha256sum /data | cut -d' ' -f1 > /sum && cat /group >> /sum
${kind === 'fails' ? 'RUN cat /group && exit 7' : ''}
${kind === 'cancelled' ? 'RUN echo "now wait" && sleep 600' : ''}
FROM scratch
COPY --from=own /sum /sum
`,
        });
        const running = daemon.kiln.start(context, ['-o', `type=local,dest=${out}`]);
        if (kind === 'cancelled') {
          await running.said('now wait\n');
          running.kill('SIGINT');
        }
        const { code, stderr } = await running.finished;
        assert.doesNotMatch(stderr, /no space left|ENOSPC|disk (is )?full/i);
        if (kind === 'succeeds') {
          assert.equal(code, 0, stderr);
          assert.equal(
            readFileSync(`${out}/sum`, 'utf8'),
            `${sha256(data)}\ngroup ${group} of round ${round}\n`,
          );
        } else {
          assert.notEqual(code, 0, stderr);
          if (kind === 'fails') assert.match(stderr, /exit code: 7/);
          assert.equal(existsSync(`${out}/sum`), false);
        }
      });
      await Promise.all(builds);
    }
    assert.match(daemon.process.stderr(), /garbage collection removed/);
    await assertUsageIsHonest(daemon);
    const records = await usageOf(daemon.kiln);
    assert.deepEqual(
      records.filter(({ inUse }) => inUse),
      [],
    );
    await daemon.kiln.must(['prune', '--all']);
    assert.deepEqual(await usageOf(daemon.kiln), []);
    assert.ok((await heldBy(daemon.root)) < megabyte);
  });
});
