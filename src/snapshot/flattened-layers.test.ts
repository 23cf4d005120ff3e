import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { unmount } from '../linux/mount.ts';
import { mountSnapshot } from './mount-snapshot.ts';
import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import { type SnapshotId, type Snapshotter, snapshotId } from './snapshot.ts';

let dir: string;
let pool: ThreadPool;
let snapshotter: Snapshotter;

before(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-flat-'));
  pool = new ThreadPool({ size: 2 });
  snapshotter = openOverlaySnapshotter({ root: dir, database: new DatabaseSync(':memory:'), pool });
});
after(async () => {
  await snapshotter[Symbol.asyncDispose]();
  await pool[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const addLayer = async (name: string, file: string, parent?: SnapshotId): Promise<SnapshotId> => {
  const id = snapshotId(name);
  await snapshotter.prepare(id, parent);
  writeFileSync(path.join((await snapshotter.writableLayerDir(id)).dir, file), name);
  await snapshotter.commit(id);
  return id;
};

test('more layers than the kernel mounts are seen all the same, and changes still name each layer', async () => {
  const parts: SnapshotId[] = [];
  for (let index = 0; index < 650; index++) parts.push(await addLayer(`m${index}`, `file${index % 600}`));
  const merged = snapshotId('merged');
  await snapshotter.merge(merged, parts);
  const target = mkdtempSync(path.join(dir, 'mnt-'));
  mountSnapshot(await snapshotter.mount(merged), target);
  try {
    const names = readdirSync(target);
    assert.equal(names.length, 600);
    for (const name of names) assert.equal(statSync(path.join(target, name)).nlink, 1, name);
  } finally {
    unmount(target);
  }
  assert.equal((await snapshotter.changes(merged)).length, 650);
  assert.equal(readdirSync(path.join(dir, 'f')).length, 1);
  await snapshotter.remove(merged);
  await snapshotter[Symbol.asyncDispose]();
  assert.deepEqual(
    readdirSync(path.join(dir, 'f')),
    [],
    'flattened layers go with the last who mounted them',
  );
});

test('a chain that grows finds what was flattened before', async () => {
  let top: SnapshotId | undefined;
  const made = new Set<string>();
  for (let index = 0; index < 520; index++) {
    top = await addLayer(`c${index}`, `file${index}`, top);
    const mount = await snapshotter.mount(top);
    assert.ok(mount.kind === 'bind' || mount.lowerDirs.length <= 400, `${index}`);
    for (const name of readdirSync(path.join(dir, 'f'))) made.add(name);
  }
  assert.equal(made.size, 2);
});
