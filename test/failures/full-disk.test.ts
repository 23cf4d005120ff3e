import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Kiln } from '../rig/kiln.ts';
import { SmallDisk } from '../rig/small-disk.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { whatIsLeft } from './what-is-left.ts';

const megabyte = 1 << 20;

/** Writes until nothing more fits. */
function fill(file: string): void {
  assert.throws(
    () => {
      for (let chunk = megabyte; ; ) writeFileSync(file, Buffer.alloc(chunk, 'x'), { flag: 'a' });
    },
    { code: 'ENOSPC' },
  );
}

test('a full disk fails the step that needs space, and the same root works again', async () => {
  using work = new WorkDirectory();
  await using disk = await SmallDisk.make(64);
  const root = disk.at('root');
  const kiln = new Kiln({ root });
  const big = Buffer.alloc(80 * megabyte, 'x');
  const archive = ['-o', `type=oci,dest=${work.at('image.tar')}`];
  const random = 'RUN head -c 34000000 /dev/urandom > /a';
  const failures: readonly (readonly [string, ReturnType<typeof work.tree>, readonly string[], RegExp])[] = [
    [
      'a RUN',
      work.tree({ Dockerfile: 'FROM base\nRUN dd if=/dev/zero of=/big bs=1M count=100\n' }),
      [],
      /No space left on device[\s\S]*exit code: 1/,
    ],
    [
      'the transfer of the context',
      work.tree({ Dockerfile: 'FROM base\nCOPY big /big\n', big }),
      [],
      /(ENOSPC|disk is full)[\s\S]*hint: free disk space/,
    ],
    [
      'a COPY',
      work.tree({ Dockerfile: `FROM base AS a\n${random}\nFROM base\nCOPY --chmod=600 --from=a /a /b\n` }),
      [],
      /copy \/a to \/b: ENOSPC[\s\S]*hint: free disk space/,
    ],
    [
      'the export',
      work.tree({ Dockerfile: `FROM base AS a\n${random}\n` }),
      archive,
      /(ENOSPC|disk is full)[\s\S]*hint: free disk space/,
    ],
  ];
  const next = work.tree({ Dockerfile: 'FROM base\nRUN echo fine\n' });
  for (const [what, context, args, says] of failures) {
    const { code, stderr } = await kiln.failingBuild(context, args);
    assert.equal(code, 1, what);
    assert.match(stderr, says, what);
    assert.equal(stderr.match(/^error: /gm)?.length, 1, stderr);
    assert.deepEqual(whatIsLeft(root), [], what);
    await kiln.build(next);
    await kiln.must(['prune', '--all']);
  }
  await kiln.build(next, archive);
});

test('a disk that others have filled to the last block can be pruned, and is of use again once there is space', async () => {
  using work = new WorkDirectory();
  await using disk = await SmallDisk.make(160);
  const kiln = new Kiln({ root: disk.at('root') });
  const context = work.tree({ Dockerfile: 'FROM base\nRUN head -c 8000000 /dev/urandom > /a\n' });
  await kiln.build(context);
  fill(disk.at('filler'));
  const { code, stderr } = await kiln.failingBuild(
    work.tree({ Dockerfile: 'FROM base\nRUN head -c 90000000 /dev/urandom > /b\n' }),
  );
  assert.equal(code, 1, stderr);
  assert.match((await kiln.must(['prune', '--all'])).stdout, /Total:/);
  rmSync(disk.at('filler'));
  assert.equal((await kiln.build(context)).events.steps('ran').length, 1);
});
