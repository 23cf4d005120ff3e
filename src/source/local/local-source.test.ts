import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { hostPlatform } from '../../base/platform.ts';
import { type StatusEvent, silentProgress } from '../../base/progress.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { createContentChecksums, type LayerChecksums } from '../../content-hash/content-checksums.ts';
import { pathSelection } from '../../content-hash/path-selection.ts';
import { fileSyncService } from '../../file-sync/file-sync-service.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { RefStore } from '../../ref/ref-store.ts';
import { openRefStoreRig } from '../../ref/ref-store-rig.ts';
import { openSessionRig, type SessionRig } from '../../session/session-rig.ts';
import type { Source } from '../source.ts';
import { createLocalSource } from './local-source.ts';
import { LocalTrees } from './local-trees.ts';

let dir: string;
let context: string;
let resources: AsyncDisposableStack;
let refStore: RefStore;
let diskUsage: DiskUsage;
let checksums: LayerChecksums;
let database: DatabaseSync;
let pool: ThreadPool;

beforeEach(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-local-source-'));
  context = path.join(dir, 'context');
  mkdirSync(context);
  resources = new AsyncDisposableStack();
  resources.defer(() => rmSync(dir, { recursive: true }));
  ({ database, pool, refStore, diskUsage } = await openRefStoreRig(dir, resources));
  checksums = createContentChecksums({ database, pool });
});
afterEach(() => resources.disposeAsync());

/** A client that offers the context directory, and a source that asks it. */
async function openRig(options: { readonly name?: string; readonly sharedKey?: string } = {}) {
  const rig = await openSessionRig(
    [fileSyncService(new Map([[options.name ?? 'context', context]]), { pool })],
    options,
  );
  const trees = new LocalTrees(database);
  const source = createLocalSource({ sessions: rig.sessions, refStore, checksums, trees, pool });
  return Object.assign(rig, { source });
}

async function snapshot(
  { session, source }: SessionRig & { readonly source: Source },
  attrs: Readonly<Record<string, string>> = {},
  progress = silentProgress,
  signal = new AbortController().signal,
): Promise<ImmutableRef> {
  const op = { identifier: 'local://context', attrs: { 'local.session': session.id, ...attrs } };
  const instance = source.open(op, hostPlatform());
  const sourceContext = {
    signal,
    progress,
    sessions: () => [session.id],
    retain() {},
  };
  await instance.key(sourceContext);
  return await instance.snapshot(sourceContext);
}

async function read(ref: ImmutableRef, name: string): Promise<string> {
  const [layer] = await ref.layerDirs();
  return readFileSync(path.join(layer!, name), 'utf8');
}

/** The checksum of a tree by somebody who was told no digests. */
async function readAnew(ref: ImmutableRef): Promise<string> {
  using other = new DatabaseSync(':memory:');
  return await createContentChecksums({ database: other, pool }).checksum(ref, wholeTree);
}

const wholeTree = pathSelection('/');

test('an unchanged directory gives the same tree again, also to another session of the same client', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  await using rig = await openRig();
  const first = await snapshot(rig);
  assert.equal(await read(first, 'file'), 'one');
  assert.equal((await snapshot(rig)).id, first.id);
  await using again = await openRig();
  assert.equal((await snapshot(again)).id, first.id);
  await using stranger = await openRig({ sharedKey: 'another' });
  assert.notEqual((await snapshot(stranger)).id, first.id);
});

test('a change makes a new tree, and leaves the one that a build still holds as it was', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  writeFileSync(path.join(context, 'other'), 'same');
  await using rig = await openRig();
  const first = await snapshot(rig);
  const before = await checksums.checksum(first, wholeTree);
  writeFileSync(path.join(context, 'file'), 'two!');
  const second = await snapshot(rig);
  assert.equal(await read(first, 'file'), 'one');
  assert.equal(await read(second, 'file'), 'two!');
  assert.equal(await read(second, 'other'), 'same');
  assert.equal(await checksums.checksum(first, wholeTree), before);
  assert.notEqual(await checksums.checksum(second, wholeTree), before);
});

test('the digests taken while receiving are those that reading the files gives', async () => {
  mkdirSync(path.join(context, 'dir'));
  writeFileSync(path.join(context, 'dir/file'), 'data');
  writeFileSync(Buffer.from(`${context}/bytes-\xfe`, 'latin1'), 'name');
  await using rig = await openRig();
  const primed = await checksums.checksum(await snapshot(rig), wholeTree);
  const unprimed = { sessions: rig.sessions, refStore, checksums: { prime: async () => {} }, pool };
  const other = new DatabaseSync(':memory:');
  const source = createLocalSource({ ...unprimed, trees: new LocalTrees(other) });
  const ref = await snapshot(Object.assign(rig, { source }));
  assert.equal(await createContentChecksums({ database: other, pool }).checksum(ref, wholeTree), primed);
  other.close();
});

test('a superseded tree that nobody holds is not kept', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  await using rig = await openRig();
  const first = await snapshot(rig);
  await first.release();
  writeFileSync(path.join(context, 'file'), 'two!');
  const second = await snapshot(rig);
  const usage = await diskUsage.list(['type==source.local']);
  assert.deepEqual(
    usage.map(({ description }) => description),
    ['local source for context'],
  );
  assert.equal(await refStore.get(first.id), undefined);
  const other = second.clone();
  await second.release();
  writeFileSync(path.join(context, 'file'), 'three');
  const third = await snapshot(rig);
  assert.equal((await diskUsage.list(['type==source.local'])).length, 2);
  await other.release();
  assert.equal((await diskUsage.list(['type==source.local'])).length, 1, 'it went when it was released');
  assert.equal(await read(third, 'file'), 'three');
});

test('a changed file is written into the last tree, which is copied while somebody holds it', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  writeFileSync(path.join(context, 'large'), Buffer.alloc(1_000_000));
  await using rig = await openRig();
  const inode = async (ref: ImmutableRef) => lstatSync(path.join((await ref.layerDirs())[0]!, 'large')).ino;
  const first = await snapshot(rig);
  const original = await inode(first);
  await first.release();
  writeFileSync(path.join(context, 'file'), 'two');
  const second = await snapshot(rig);
  assert.equal(await inode(second), original);
  assert.equal(await checksums.checksum(second, wholeTree), await readAnew(second));
  writeFileSync(path.join(context, 'file'), 'three');
  const third = await snapshot(rig);
  assert.notEqual(await inode(third), original);
  assert.equal(await checksums.checksum(third, wholeTree), await readAnew(third));
  assert.equal(await read(second, 'file'), 'two');
});

test('a tree that something was built on is never changed', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  await using rig = await openRig();
  const first = await snapshot(rig);
  const child = await (await refStore.createMutable(first, { description: 'on it' })).commit();
  await first.release();
  writeFileSync(path.join(context, 'file'), 'two');
  assert.equal(await read(await snapshot(rig), 'file'), 'two');
  assert.equal(await read(child, 'file'), 'one');
});

test('many syncs of one directory at a time each get what they were sent', async () => {
  for (let at = 0; at < 50; at++) writeFileSync(path.join(context, `f${at}`), `${at}`);
  await using rig = await openRig();
  for (let round = 0; round < 5; round++) {
    writeFileSync(path.join(context, 'file'), `round ${round}`);
    const refs = await Promise.all([0, 1, 2].map(() => snapshot(rig)));
    for (const ref of refs) {
      assert.equal(await read(ref, 'file'), `round ${round}`);
      assert.equal(await read(ref, 'f49'), '49');
      await ref.release();
    }
  }
  assert.equal((await diskUsage.list(['type==source.local'])).length, 1);
});

test('a sync that fails midway leaves the last tree as it was', async () => {
  writeFileSync(path.join(context, 'a'), 'one');
  writeFileSync(path.join(context, 'b'), 'one');
  await using rig = await openRig();
  const first = await snapshot(rig);
  const { id } = first;
  await first.release();
  writeFileSync(path.join(context, 'a'), 'three');
  const abort = new AbortController();
  const progress = {
    ...silentProgress,
    status: () => abort.abort(),
  };
  await assert.rejects(snapshot(rig, {}, progress, abort.signal), KilnError);
  const kept = await refStore.get(id);
  assert.equal(await read(kept!, 'a'), 'one');
  assert.equal(await read(await snapshot(rig), 'a'), 'three');
});

test('another selection of the same directory begins with what is there', async () => {
  writeFileSync(path.join(context, 'a'), Buffer.alloc(1_000_000));
  writeFileSync(path.join(context, 'b'), 'b');
  await using rig = await openRig();
  await snapshot(rig);
  let bytes = 0;
  const progress = {
    ...silentProgress,
    status({ current }: StatusEvent) {
      bytes = current ?? bytes;
    },
  };
  const part = await snapshot(rig, { 'local.includepattern': '["a"]' }, progress);
  await assert.rejects(read(part, 'b'));
  assert.ok(bytes > 0 && bytes < 10_000, `${bytes} bytes travelled`);
});

test('a tree that was pruned is brought again', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  await using rig = await openRig();
  const first = await snapshot(rig);
  await first.release();
  for await (const _ of diskUsage.prune({ all: true }));
  assert.equal(await read(await snapshot(rig), 'file'), 'one');
});

test('a directory that is gone, and a client that leaves midway, are clear errors and leave nothing', async () => {
  await using rig = await openRig();
  rmSync(context, { recursive: true });
  await assert.rejects(snapshot(rig), (error: KilnError) => {
    assert.equal(error.code, 'not_found');
    assert.match(error.message, /local directory "context" at /);
    return true;
  });
  assert.deepEqual(await diskUsage.list(['type==source.local']), []);
  await rig.leave();
  await assert.rejects(snapshot(rig), KilnError);
});

test('attributes are checked, and a prefixed session has the directory under a prefixed name', async () => {
  writeFileSync(path.join(context, 'file'), 'one');
  await using rig = await openRig({ name: 'input-context' });
  const ref = await snapshot(rig, { 'local.session': `input:${rig.session.id}` });
  assert.equal(await read(ref, 'file'), 'one');
  const malformed: readonly Readonly<Record<string, string>>[] = [
    { 'local.includepattern': 'no json' },
    { 'local.excludepatterns': '{"a":1}' },
    { 'local.differ': 'content' },
    { 'local.metadatatransfer': 'maybe' },
  ];
  for (const attrs of malformed) {
    await assert.rejects(snapshot(rig, attrs), (error: KilnError) => error.code === 'invalid_argument');
  }
});
