import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { mknod } from '../linux/mknod.ts';
import { unmount } from '../linux/mount.ts';
import { mountSnapshot } from './mount-snapshot.ts';
import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import { snapshotId } from './snapshot.ts';
import { snapshotterSuite } from './snapshotter-suite.ts';

snapshotterSuite('the overlay snapshotter', openOverlaySnapshotter);

test('what is written through a mount over nothing has no marks, and is laid over other trees as it is', async () => {
  await using resources = new AsyncDisposableStack();
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-overlay-'));
  resources.defer(() => rmSync(root, { recursive: true, force: true }));
  const pool = resources.use(new ThreadPool({ size: 1 }));
  const snapshotter = resources.use(
    openOverlaySnapshotter({ root, database: new DatabaseSync(':memory:'), pool }),
  );
  const target = path.join(root, 'target');
  mkdirSync(target);
  const [below, above, merged] = [snapshotId('below'), snapshotId('above'), snapshotId('merged')];
  for (const id of [below, above]) {
    await snapshotter.prepare(id);
    mountSnapshot(await snapshotter.mount(id), target);
    try {
      mkdirSync(path.join(target, 'new/usr'), { recursive: true });
      renameSync(path.join(target, 'new/usr'), path.join(target, 'usr'));
      rmdirSync(path.join(target, 'new'));
      writeFileSync(path.join(target, 'usr', id), '');
      assert.throws(() => mknod(path.join(target, 'usr/deleted'), 0o020000, 0n), { code: 'EPERM' });
    } finally {
      unmount(target);
    }
    await snapshotter.commit(id);
  }
  await snapshotter.merge(merged, [below, above]);
  const dirsOf = async (id: typeof below) => [...(await snapshotter.layerDirs(id))];
  assert.deepEqual(await dirsOf(merged), [...(await dirsOf(below)), ...(await dirsOf(above))]);
  mountSnapshot(await snapshotter.mount(merged), target);
  try {
    assert.deepEqual(readdirSync(path.join(target, 'usr')), ['above', 'below']);
  } finally {
    unmount(target);
  }
});
