import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { mount, unmount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { chooseSnapshotter, type SnapshotterKind } from './choose-snapshotter.ts';

let dir: string;
let pool: ThreadPool;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-choose-'));
  pool = new ThreadPool({ size: 1 });
});
afterEach(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const choose = (kind: SnapshotterKind, root: string) =>
  chooseSnapshotter(kind, { root, database: new DatabaseSync(':memory:'), pool });

/** An overlay cannot have its upper directory on another overlay that has none of its own features: a root where overlayfs fails. */
const onOverlay = (use: (root: string) => void) => {
  for (const name of ['a', 'b', 'upper', 'work', 'merged']) mkdirSync(path.join(dir, name));
  const at = (name: string) => path.join(dir, name);
  mountOverlay({ lowerDirs: [at('a'), at('b')], upperDir: at('upper'), workDir: at('work') }, at('merged'));
  try {
    use(at('merged'));
  } finally {
    unmount(at('merged'));
  }
};

test('overlayfs is taken where it works, and nothing of the probe stays', () => {
  assert.equal(choose('auto', dir).name, 'overlay');
  assert.equal(choose('overlayfs', dir).name, 'overlay');
  assert.deepEqual(readdirSync(dir), ['overlay']);
});

test('plain copies are taken when asked for', () => {
  assert.equal(choose('native', dir).name, 'native');
});

test('plain copies are taken where overlayfs does not work, unless it was asked for', () => {
  onOverlay((root) => {
    assert.equal(choose('auto', root).name, 'native');
    assert.throws(
      () => choose('overlayfs', root),
      (error) =>
        error instanceof KilnError && error.code === 'failed_precondition' && error.hint !== undefined,
    );
  });
});

test('a root stays with overlayfs on a disk too full to try it, and a new one is not begun there', () => {
  const at = (name: string) => path.join(dir, name);
  for (const name of ['used', 'new']) {
    mkdirSync(at(name));
    mount({ source: 'tmpfs', target: at(name), type: 'tmpfs', data: 'size=1m,nr_inodes=64' });
  }
  try {
    assert.equal(choose('auto', at('used')).name, 'overlay');
    for (const name of ['used', 'new']) fillInodes(at(name));
    assert.equal(choose('auto', at('used')).name, 'overlay');
    assert.throws(
      () => choose('auto', at('new')),
      (error) => error instanceof KilnError && error.code === 'resource_exhausted',
    );
  } finally {
    for (const name of ['used', 'new']) unmount(at(name));
  }
});

function fillInodes(directory: string): void {
  try {
    for (let index = 0; ; index++) writeFileSync(path.join(directory, `${index}`), '');
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}
