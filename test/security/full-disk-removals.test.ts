import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ThreadPool } from '../../src/base/threads/thread-pool.ts';
import { Trash } from '../../src/snapshot/trash.ts';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { Daemon } from '../rig/daemon.ts';
import { mustRun } from '../rig/run-program.ts';
import { SmallDisk } from '../rig/small-disk.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const megabyte = 1 << 20;

const listOf = async ({ kiln }: Daemon): Promise<readonly unknown[]> =>
  JSON.parse((await kiln.must(['du', '--format', 'json'])).stdout) as readonly unknown[];

/** What a daemon keeps for its cache, in bytes on the disk. */
async function heldBy(root: string): Promise<number> {
  const { stdout } = await mustRun('du', ['-s', '-c', '-B1', `${root}/snapshots`, `${root}/content`]);
  return Number(stdout.trim().split('\n').at(-1)!.split('\t')[0]);
}

async function assertPrunable(daemon: Daemon): Promise<void> {
  const { stdout } = await daemon.kiln.must(['prune', '--all']);
  assert.match(stdout, /Total:/);
  assert.deepEqual(await listOf(daemon), []);
  assert.ok((await heldBy(daemon.root)) < megabyte / 2, `${await heldBy(daemon.root)} bytes are left`);
}

describe('a disk that is full to the last byte', () => {
  const contextOf = (work: WorkDirectory, steps = 3) =>
    work.tree({
      file: 'of the context',
      Dockerfile: [
        'FROM base',
        'COPY file /file',
        ...Array.from({ length: steps }, (_, step) => `RUN head -c 1000000 /dev/urandom > /data-${step}`),
        'FROM scratch',
        'COPY --from=0 /file /x',
        'COPY --link --from=0 /file /y',
      ].join('\n'),
    });

  for (const [what, options] of [
    ['', {}],
    [', and of which a part is kept for root', { reservedBlocks: 10 }],
  ] as const) {
    test(`is emptied by a prune${what}; a restart agrees, and the root is of use again`, async () => {
      using work = new WorkDirectory();
      await using disk = await SmallDisk.make(90, options);
      const root = disk.at('root');
      const context = contextOf(work);
      {
        await using daemon = await Daemon.start({ root, args: ['--oci-worker-gc=false'] });
        await daemon.kiln.build(context, ['-t', 'example.org/kept:1']);
        disk.fill('filler');
        await daemon.kiln.must(['rmi', 'example.org/kept:1']);
        await assertPrunable(daemon);
        disk.fill('more');
      }
      // What the daemon kept for this is gone now: it starts, and prunes, with what is left of itself.
      await using daemon = await Daemon.start({ root, args: ['--oci-worker-gc=false'] });
      assert.deepEqual(await listOf(daemon), []);
      rmSync(disk.at('more'));
      await daemon.kiln.build(context);
      disk.fill('again');
      await assertPrunable(daemon);
      rmSync(disk.at('filler'));
      await daemon.kiln.build(context);
    });
  }

  test('is emptied by a daemon that starts on it', async () => {
    using work = new WorkDirectory();
    await using disk = await SmallDisk.make(90);
    const root = disk.at('root');
    const args = ['--oci-worker-gc=false'];
    {
      await using daemon = await Daemon.start({ root, args });
      await daemon.kiln.build(contextOf(work));
      disk.fill('filler');
    }
    disk.fill('filler');
    await using daemon = await Daemon.start({ root, args });
    disk.fill('filler');
    await assertPrunable(daemon);
  });

  test('fails a build with a word about the disk, and nothing of it is left', async () => {
    using work = new WorkDirectory();
    await using disk = await SmallDisk.make(90);
    await using daemon = await Daemon.start({ root: disk.at('root'), args: ['--oci-worker-gc=false'] });
    await daemon.kiln.build(contextOf(work));
    const before = await listOf(daemon);
    disk.fill('filler');
    const held = await heldBy(daemon.root);
    const { stderr } = await daemon.kiln.failingBuild(
      work.tree({ Dockerfile: 'FROM base\nCOPY data /data\nRUN true\n', data: randomBytes(3 * megabyte) }),
    );
    assert.match(stderr, /no space left on device/);
    assert.match(stderr, /hint: free disk space/);
    assert.deepEqual(whatIsLeft(daemon.root), []);
    const after = await listOf(daemon);
    assert.equal(after.length, before.length, JSON.stringify(after));
    assert.ok((await heldBy(daemon.root)) <= held);
    await assertPrunable(daemon);
  });

  test('has no room for more names in the trash: all that goes there is deleted, and nothing stays where it was', async () => {
    await using disk = await SmallDisk.make(8);
    await using pool = new ThreadPool({ size: 1 });
    await using trash = new Trash(disk.at('trash'), pool);
    const victims = Array.from({ length: 200 }, (_, index) => disk.at('trees', `${index}`));
    for (const victim of victims) mkdirSync(victim, { recursive: true });
    disk.fill('filler');
    const discards = await Promise.all(victims.map((victim) => trash.discard(victim)));
    assert.deepEqual(
      victims.filter((victim) => existsSync(victim)),
      [],
    );
    for (const { freed } of discards) assert.ok((await freed) > 0);
    assert.deepEqual(readdirSync(disk.at('trash')), []);
  });

  test('has no inodes either: a prune empties it, before and after a start', async () => {
    using work = new WorkDirectory();
    await using disk = await SmallDisk.make(90, { inodes: 2000 });
    const root = disk.at('root');
    const args = ['--oci-worker-gc=false'];
    {
      await using daemon = await Daemon.start({ root, args });
      await daemon.kiln.build(contextOf(work, 1));
      disk.fillInodes('files');
      disk.fill('files/0');
      await assertPrunable(daemon);
      await daemon.kiln.build(contextOf(work, 1)).catch(() => {});
      disk.fillInodes('more');
    }
    disk.fillInodes('yet-more');
    await using daemon = await Daemon.start({ root, args });
    await assertPrunable(daemon);
  });
});
