import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { syncFileSystem } from '../linux/sync-file-system.ts';
import { type DurableSnapshotter, makeDurable } from './durable-snapshotter.ts';
import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import { type SnapshotId, snapshotId } from './snapshot.ts';
import { WriteLedger } from './write-ledger.ts';

let dir: string;
let pool: ThreadPool;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-durable-'));
  pool = new ThreadPool();
});

afterEach(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

/** Runs `use` as a process would during one boot of the machine. */
async function duringBoot<T>(
  bootId: string,
  use: (snapshotter: DurableSnapshotter, ledger: WriteLedger) => T | Promise<T>,
): Promise<T> {
  const database = new DatabaseSync(path.join(dir, 'state.db'));
  const ledger = new WriteLedger(database, bootId);
  const inner = openOverlaySnapshotter({ root: path.join(dir, 'snapshots'), database, pool });
  const snapshotter = await makeDurable(inner, ledger);
  ledger.acknowledge();
  try {
    return await use(snapshotter, ledger);
  } finally {
    await snapshotter[Symbol.asyncDispose]();
    database.close();
  }
}

async function commit(snapshotter: DurableSnapshotter, id: string, parent?: string): Promise<void> {
  await snapshotter.prepare(snapshotId(id), parent === undefined ? undefined : snapshotId(parent));
  const target = await snapshotter.writableLayerDir(snapshotId(id));
  writeFileSync(path.join(target.dir, id), id);
  await snapshotter.commit(snapshotId(id));
}

const listed = (bootId: string): Promise<string[]> =>
  duringBoot(bootId, async (snapshotter) => {
    const ids: SnapshotId[] = [];
    for await (const { id } of snapshotter.list()) ids.push(id);
    return ids.sort();
  });

const sync = () => syncFileSystem(dir);

test('a killed process loses nothing', async () => {
  await duringBoot('one', (snapshotter) => commit(snapshotter, 'a'));
  assert.deepEqual(await listed('one'), ['a']);
});

test('after a crash of the machine, what was committed before the last flush is kept and the rest is removed', async () => {
  await duringBoot('one', async (snapshotter) => {
    await commit(snapshotter, 'a');
    await snapshotter.flush(sync, { idle: true });
    await commit(snapshotter, 'b', 'a');
    await commit(snapshotter, 'c', 'b');
    await snapshotter.merge(snapshotId('m'), [snapshotId('a'), snapshotId('c')]);
  });
  assert.deepEqual(await listed('two'), ['a']);
  await duringBoot('two', (snapshotter) => commit(snapshotter, 'd', 'a'));
  assert.deepEqual(await listed('two'), ['a', 'd']);
});

test('what was written while the flush ran is not struck out by it', async () => {
  await duringBoot('one', async (snapshotter) => {
    await commit(snapshotter, 'a');
    await snapshotter.prepare(snapshotId('b'));
    const meanwhile = async () => {
      await snapshotter.commit(snapshotId('b'));
      await commit(snapshotter, 'c');
    };
    await snapshotter.flush(meanwhile, { idle: false });
  });
  assert.deepEqual(await listed('two'), ['a']);
});

test('a flush that fails strikes nothing out', async () => {
  await duringBoot('one', async (snapshotter) => {
    await commit(snapshotter, 'a');
    await assert.rejects(
      snapshotter.flush(() => Promise.reject(new Error('no disk')), { idle: true }),
      /no disk/,
    );
  });
  assert.deepEqual(await listed('two'), []);
});

test('an active snapshot survives when it was flushed at rest, and is lost when it was mounted again since', async () => {
  await duringBoot('one', async (snapshotter) => {
    await snapshotter.prepare(snapshotId('rest'));
    await snapshotter.prepare(snapshotId('again'));
    await snapshotter.flush(sync, { idle: true });
    await snapshotter.mount(snapshotId('rest'), { readonly: true });
    await snapshotter.mount(snapshotId('again'));
  });
  assert.deepEqual(await listed('two'), ['rest']);
});

test('a start that is killed before it has acknowledged removes the same again', async () => {
  await duringBoot('one', (snapshotter) => commit(snapshotter, 'a'));
  const database = new DatabaseSync(path.join(dir, 'state.db'));
  const before = Date.now();
  assert.deepEqual(new WriteLedger(database, 'two').lost, ['a']);
  const { lost, doubtfulSince } = new WriteLedger(database, 'two');
  database.close();
  assert.deepEqual(lost, ['a']);
  assert.ok(doubtfulSince !== undefined && doubtfulSince <= before);
  assert.deepEqual(await listed('two'), []);
  await duringBoot('two', (_, ledger) => assert.deepEqual(ledger.lost, []));
});
