import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { ErofsTreeMaker } from '../erofs/erofs-tree-maker.ts';
import { packLayer } from '../erofs/pack-layer.ts';
import { unmount } from '../linux/mount.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import { mountSnapshot } from './mount-snapshot.ts';
import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import { type SnapshotId, type Snapshotter, snapshotId } from './snapshot.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';
import { snapshotterSuite } from './snapshotter-suite.ts';

const open = (options: SnapshotterOptions) => openOverlaySnapshotter({ ...options, makesImages: true });

snapshotterSuite('the overlay snapshotter with an image for each layer that is committed', (options) => {
  const snapshotter = open(options);
  const commit = snapshotter.commit.bind(snapshotter);
  snapshotter.commit = async (id, alongside) => {
    await commit(id, alongside);
    const own = path.join(options.root, 's', id);
    packLayer({ directory: path.join(own, 'fs'), image: path.join(own, 'image') });
    rmSync(path.join(own, 'fs'), { recursive: true });
    mkdirSync(path.join(own, 'fs'));
  };
  return snapshotter;
});

const newDirectory = temporaryDirectories();
const plain = { mode: 0o644 };

class Rig implements AsyncDisposable {
  readonly dir = newDirectory();
  readonly root = path.join(this.dir, 'root');
  readonly pool = new ThreadPool({ size: 1 });
  database = new DatabaseSync(path.join(this.dir, 'state.db'));
  snapshotter: Snapshotter = open({ root: this.root, database: this.database, pool: this.pool });

  /** What a killed process leaves: nothing was closed, nothing unmounted. */
  restart(): void {
    this.database.close();
    this.database = new DatabaseSync(path.join(this.dir, 'state.db'));
    this.snapshotter = open({ root: this.root, database: this.database, pool: this.pool });
  }

  /** A committed snapshot with an image for its layer. */
  async image(
    name: string,
    parent: SnapshotId | undefined,
    files: Record<string, string>,
  ): Promise<SnapshotId> {
    const id = snapshotId(name);
    await this.snapshotter.prepare(id, parent);
    const mount = await this.snapshotter.mount(id);
    assert.ok(mount.kind === 'overlay' && mount.image !== undefined);
    using maker = new ErofsTreeMaker(mount.image);
    for (const [file, data] of Object.entries(files)) {
      maker.add(file, { kind: 'file', metadata: plain, data: Buffer.from(data) });
    }
    maker.finish();
    await this.snapshotter.commit(id);
    return id;
  }

  async directory(
    name: string,
    parent: SnapshotId | undefined,
    files: Record<string, string>,
  ): Promise<SnapshotId> {
    const id = snapshotId(name);
    await this.snapshotter.prepare(id, parent);
    await this.see(id, (root) => {
      for (const [file, data] of Object.entries(files)) writeFileSync(path.join(root, file), data);
    });
    await this.snapshotter.commit(id);
    return id;
  }

  async see<T>(id: SnapshotId, look: (root: string) => T): Promise<T> {
    const target = newDirectory();
    mountSnapshot(await this.snapshotter.mount(id), target);
    try {
      return look(target);
    } finally {
      unmount(target);
    }
  }

  contents(id: SnapshotId): Promise<Record<string, string>> {
    return this.see(id, (root) =>
      Object.fromEntries(
        readdirSync(root).map((name) => [name, readFileSync(path.join(root, name), 'utf8')]),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.snapshotter[Symbol.asyncDispose]();
    await this.pool[Symbol.asyncDispose]();
    this.database.close();
    rmSync(this.root, { recursive: true });
  }
}

test('a layer that is an image is a layer like others: below and above, merged, changed, and after a kill', async () => {
  await using rig = new Rig();
  const base = await rig.directory('base', undefined, { a: '1', b: '1' });
  const image = await rig.image('image', base, { b: '2', c: '2' });
  const top = await rig.directory('top', image, { c: '3', d: '3' });
  const other = await rig.image('other', undefined, { a: '4', e: '4' });
  const expectAll = async () => {
    assert.deepEqual(await rig.contents(image), { a: '1', b: '2', c: '2' });
    assert.deepEqual(await rig.contents(top), { a: '1', b: '2', c: '3', d: '3' });
    assert.deepEqual(await rig.contents(other), { a: '4', e: '4' });
    const [changes] = await rig.snapshotter.changes(image, base);
    assert.ok(changes?.kind === 'overlay');
    assert.deepEqual(readdirSync(changes.dir).sort(), ['b', 'c']);
  };
  await expectAll();
  await rig.snapshotter.merge(snapshotId('merged'), [other, top]);
  await rig.snapshotter.diff(snapshotId('diff'), base, image);
  assert.deepEqual(await rig.contents(snapshotId('merged')), { a: '1', b: '2', c: '3', d: '3', e: '4' });
  assert.deepEqual(await rig.contents(snapshotId('diff')), { b: '2', c: '2' });
  rig.restart();
  assert.deepEqual(mountPointsBelow(rig.root), []);
  await expectAll();
  assert.deepEqual(await rig.contents(snapshotId('merged')), { a: '1', b: '2', c: '3', d: '3', e: '4' });
});

test('an image counts once, and goes with its snapshot', async () => {
  await using rig = new Rig();
  const id = await rig.image('image', undefined, { a: 'x'.repeat(1 << 20) });
  await rig.contents(id);
  const [usage] = await rig.snapshotter.usage([id]);
  assert.ok(usage!.size >= 1 << 20 && usage!.size < (1 << 20) + 64 * 1024, `${usage!.size} bytes`);
  const { freed } = await rig.snapshotter.remove(id);
  assert.equal(await freed, usage!.size);
  assert.deepEqual(mountPointsBelow(rig.root), []);
  assert.equal(existsSync(path.join(rig.root, 's', id)), false);
});

test('a snapshot that was written as an image is not written to in another way', async () => {
  await using rig = new Rig();
  await rig.snapshotter.prepare(snapshotId('active'));
  const mount = await rig.snapshotter.mount(snapshotId('active'));
  assert.ok(mount.kind === 'overlay' && mount.image !== undefined);
  writeFileSync(mount.image, '');
  await assert.rejects(
    rig.snapshotter.mount(snapshotId('active')),
    (error) => error instanceof KilnError && error.code === 'failed_precondition',
  );
});

test('a snapshot whose image is torn is dropped at the next start, with all that is built on it', async () => {
  await using rig = new Rig();
  const torn = await rig.image('torn', undefined, { a: 'x'.repeat(100_000) });
  await rig.directory('child', torn, { b: '2' });
  const whole = await rig.image('whole', undefined, { c: '3' });
  const file = path.join(rig.root, 's', torn, 'image');
  await rig.snapshotter[Symbol.asyncDispose]();
  truncateSync(file, statSync(file).size - 4096);
  rig.restart();
  assert.deepEqual(
    (await Array.fromAsync(rig.snapshotter.list())).map(({ id }) => id),
    [whole],
  );
  assert.deepEqual(await rig.contents(whole), { c: '3' });
});
