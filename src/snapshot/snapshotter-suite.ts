import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { unmount } from '../linux/mount.ts';
import { unmountBelow } from '../linux/mount-table.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { mountSnapshot } from './mount-snapshot.ts';
import { type SnapshotId, type Snapshotter, snapshotId } from './snapshot.ts';
import type { SnapshotterOptions } from './snapshotter-options.ts';

/** `user::rw-, user:1000:rw-, group::r--, mask::rw-, other::---`, as the kernel keeps it. */
const accessList = Buffer.from(
  '0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000000ffffffff',
  'hex',
);

/** What every snapshotter must do, on real files and real mounts. */
export function snapshotterSuite(name: string, open: (options: SnapshotterOptions) => Snapshotter): void {
  describe(name, () => {
    let dir: string;
    let pool: ThreadPool;
    let database: DatabaseSync;
    let snapshotter: Snapshotter;

    const start = () => {
      database = new DatabaseSync(path.join(dir, 'state.db'));
      snapshotter = open({ root: path.join(dir, 'root'), database, pool });
    };
    beforeEach(() => {
      dir = mkdtempSync(path.join(tmpdir(), 'kiln-snapshot-'));
      pool = new ThreadPool({ size: 2 });
      start();
    });
    afterEach(async () => {
      await snapshotter[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
      database.close();
      rmSync(dir, { recursive: true, force: true });
    });

    const id = snapshotId;
    const see = async <T>(snapshot: SnapshotId, use: (root: string) => T, readonly = false): Promise<T> => {
      const target = mkdtempSync(path.join(dir, 'mnt-'));
      mountSnapshot(await snapshotter.mount(snapshot, { readonly }), target);
      try {
        return use(target);
      } finally {
        unmount(target);
      }
    };
    const write = async (
      name: string,
      parent: SnapshotId | undefined,
      change: (root: string) => void,
    ): Promise<SnapshotId> => {
      await snapshotter.prepare(id(name), parent);
      await see(id(name), change);
      await snapshotter.commit(id(name));
      return id(name);
    };
    const files = (files: Record<string, string>) => (root: string) => {
      for (const [name, data] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
        writeFileSync(path.join(root, name), data);
      }
    };
    const listing = (root: string): string[] =>
      readdirSync(root, { recursive: true, withFileTypes: true })
        .filter((entry) => lstatSync(path.join(entry.parentPath, entry.name)) && !entry.isDirectory())
        .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
        .sort();
    const contents = (snapshot: SnapshotId) =>
      see(snapshot, (root) =>
        Object.fromEntries(listing(root).map((file) => [file, readFileSync(path.join(root, file), 'utf8')])),
      );
    const hasCode = (code: string) => (error: unknown) => error instanceof KilnError && error.code === code;

    test('a child starts as its parent and does not change it', async () => {
      const base = await write('base', undefined, files({ 'a/one': '1', two: '2' }));
      await write('child', base, (root) => {
        writeFileSync(path.join(root, 'two'), 'changed');
        writeFileSync(path.join(root, 'a/three'), '3');
      });
      assert.deepEqual(await contents(base), { 'a/one': '1', two: '2' });
      assert.deepEqual(await contents(id('child')), { 'a/one': '1', 'a/three': '3', two: 'changed' });
    });

    test('a committed snapshot cannot be written to', async () => {
      const base = await write('base', undefined, files({ file: '1' }));
      const child = await write('child', base, files({ other: '2' }));
      for (const snapshot of [base, child]) {
        await see(snapshot, (root) =>
          assert.throws(() => writeFileSync(path.join(root, 'x'), ''), { code: 'EROFS' }),
        );
        await assert.rejects(snapshotter.writableLayerDir(snapshot), hasCode('failed_precondition'));
      }
    });

    test('an active snapshot can be looked at read-only', async () => {
      const base = await write('base', undefined, files({ file: '1' }));
      await snapshotter.prepare(id('active'), base);
      await see(id('active'), (root) => writeFileSync(path.join(root, 'new'), '2'));
      await see(
        id('active'),
        (root) => {
          assert.deepEqual(listing(root), ['file', 'new']);
          assert.throws(() => writeFileSync(path.join(root, 'x'), ''), { code: 'EROFS' });
        },
        true,
      );
    });

    test('deleted files stay deleted, and replaced directories show only what is new', async () => {
      const base = await write('base', undefined, files({ 'd/old': '1', 'e/kept': '2', gone: '3' }));
      const child = await write('child', base, (root) => {
        rmSync(path.join(root, 'gone'));
        rmSync(path.join(root, 'd'), { recursive: true });
        files({ 'd/new': '4' })(root);
      });
      assert.deepEqual(await contents(child), { 'd/new': '4', 'e/kept': '2' });
      const grandchild = await write('grandchild', child, files({ gone: 'back' }));
      assert.deepEqual(await contents(grandchild), { 'd/new': '4', 'e/kept': '2', gone: 'back' });
    });

    test('a directory can be renamed, and a file can take the place of a directory', async () => {
      const base = await write('base', undefined, files({ 'd/x': '1', 'f/y': '2' }));
      const child = await write('child', base, (root) => {
        // overlayfs may answer EXDEV, after which mv(1) copies; a rename of a new directory always works.
        rmSync(path.join(root, 'd'), { recursive: true });
        files({ 'fresh/x': '1' })(root);
        renameSync(path.join(root, 'fresh'), path.join(root, 'd2'));
        rmSync(path.join(root, 'f'), { recursive: true });
        writeFileSync(path.join(root, 'f'), 'file');
      });
      assert.deepEqual(await contents(child), { 'd2/x': '1', f: 'file' });
    });

    test('files keep everything they have through commit, child and merge', async () => {
      const raw = Buffer.from([0x66, 0xff, 0xfe, 0x80]);
      const time = 1_234_567_890_123_456_789n;
      const inRoot = (root: string, name: string | Buffer) =>
        Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]);
      const base = await write('base', undefined, (root) => {
        writeFileSync(inRoot(root, raw), 'bytes');
        writeFileSync(inRoot(root, 'setuid'), '');
        chownSync(inRoot(root, 'setuid'), 12, 34);
        chmodSync(inRoot(root, 'setuid'), 0o6751);
        mkdirSync(inRoot(root, 'sticky'));
        chmodSync(inRoot(root, 'sticky'), 0o1777);
        mkdirSync(inRoot(root, 'shared'));
        writeFileSync(inRoot(root, 'shared/file'), '');
        setXattr(inRoot(root, 'shared'), 'system.posix_acl_default', accessList);
        mknod(inRoot(root, 'device'), 0o020640, makeDevice(5, 300));
        mknod(inRoot(root, 'block'), 0o060600, makeDevice(7, 1));
        mknod(inRoot(root, 'fifo'), 0o010644);
        symlinkSync('no/where', inRoot(root, 'link'));
        writeFileSync(inRoot(root, 'hard1'), 'same');
        linkSync(inRoot(root, 'hard1'), inRoot(root, 'hard2'));
        setXattr(inRoot(root, 'hard1'), 'user.kiln', Buffer.from([0, 1, 255]));
        setXattr(inRoot(root, 'sticky'), 'user.dir', Buffer.from('d'));
        setXattr(
          inRoot(root, 'setuid'),
          'security.capability',
          Buffer.from('0100000200040000000000000000000000000000', 'hex'),
        );
        const sparse = openSync(inRoot(root, 'sparse'), 'w');
        writeSync(sparse, 'start', 0);
        writeSync(sparse, 'end', 8 << 20);
        ftruncateSync(sparse, 16 << 20);
        closeSync(sparse);
        utimens(inRoot(root, 'link'), time + 1n, time + 2n);
        utimens(inRoot(root, 'hard1'), time + 3n, time + 4n);
        utimens(inRoot(root, 'sticky'), time + 5n, time + 6n);
      });
      const expectAll = (root: string) => {
        const stat = (name: string | Buffer) => lstatSync(inRoot(root, name), { bigint: true });
        assert.equal(readFileSync(inRoot(root, raw), 'utf8'), 'bytes');
        const setuid = stat('setuid');
        assert.deepEqual([setuid.mode & 0o7777n, setuid.uid, setuid.gid], [0o6751n, 12n, 34n]);
        assert.equal(getXattr(inRoot(root, 'setuid'), 'security.capability')?.length, 20);
        assert.equal(stat('sticky').mode & 0o7777n, 0o1777n);
        assert.equal(getXattr(inRoot(root, 'sticky'), 'user.dir')?.toString(), 'd');
        assert.deepEqual(listXattrs(inRoot(root, 'shared')), ['system.posix_acl_default']);
        assert.deepEqual(listXattrs(inRoot(root, 'shared/file')), []);
        assert.deepEqual(
          [stat('device').mode, stat('device').rdev],
          [0o020640n & ~0o022n, makeDevice(5, 300)],
        );
        assert.ok(stat('block').isBlockDevice() && stat('block').rdev === makeDevice(7, 1));
        assert.ok(stat('fifo').isFIFO());
        assert.ok(stat('link').isSymbolicLink());
        assert.equal(stat('link').mtimeNs, time + 2n);
        assert.equal(stat('hard1').mtimeNs, time + 4n);
        assert.equal(stat('sticky').mtimeNs, time + 6n);
        assert.deepEqual(getXattr(inRoot(root, 'hard1'), 'user.kiln'), Buffer.from([0, 1, 255]));
        assert.equal(stat('sparse').size, 16n << 20n);
        assert.equal(readFileSync(inRoot(root, 'sparse')).toString('utf8', 8 << 20, (8 << 20) + 3), 'end');
        assert.equal(stat('hard1').ino, stat('hard2').ino);
      };
      await see(base, expectAll);
      const child = await write('child', base, files({ more: '' }));
      await see(child, expectAll);
      const other = await write('other', undefined, files({ other: '' }));
      await snapshotter.merge(id('merged'), [other, base]);
      await see(id('merged'), expectAll);
      await snapshotter.diff(id('diff'), other, base);
      await see(id('diff'), expectAll);
      const all = [base, child, id('merged'), id('diff')];
      for (const [index, { size }] of (await snapshotter.usage(all)).entries()) {
        assert.ok(size < 1 << 20, `${all[index]}, with a sparse file, takes ${size} bytes`);
      }
    });

    test('nothing done to a file of one tree is seen in another, and no tree gives a file names that it did not have', async () => {
      const untouched = '1 644 one';
      const base = await write('base', undefined, files({ 'd/file': 'one', 'd/gone': 'x' }));
      const child = await write('child', base, (root) => {
        rmSync(path.join(root, 'd'), { recursive: true });
        files({ 'd/file': 'one', 'd/new': 'one' })(root);
        linkSync(path.join(root, 'd/new'), path.join(root, 'd/second'));
      });
      const other = await write('other', undefined, files({ 'd/strange': 'other' }));
      await snapshotter.diff(id('part'), base, child);
      await snapshotter.diff(id('unrelated'), other, child);
      await snapshotter.merge(id('merged'), [other, child]);
      await snapshotter.merge(id('adapted'), [other, id('part'), id('unrelated')]);
      const trees = [base, child, id('unrelated'), id('merged'), id('adapted')];
      const expectUntouched = () =>
        Promise.all(
          trees.map((tree) =>
            see(tree, (root) => {
              const file = path.join(root, 'd/file');
              const { nlink, mode } = lstatSync(file);
              const seen = `${nlink} ${(mode & 0o777).toString(8)} ${readFileSync(file, 'utf8')}`;
              assert.equal(seen, untouched, tree);
              if (tree !== base) assert.equal(lstatSync(path.join(root, 'd/new')).nlink, 2, tree);
            }),
          ),
        );
      await expectUntouched();
      for (const tree of trees) {
        await write(`${tree}written`, tree, (root) => {
          const file = path.join(root, 'd/file');
          writeFileSync(file, 'changed', { flag: 'r+' });
          chmodSync(file, 0o4777);
          chownSync(file, 12, 34);
        });
        await expectUntouched();
      }
    });

    test('the root of a child has the mode, owner and times of its parent', async () => {
      const base = await write('base', undefined, (root) => {
        chownSync(root, 7, 8);
        chmodSync(root, 0o2751);
        utimens(root, 1n, 1_000_000_001n);
      });
      const child = await write('child', base, () => {});
      await see(child, (root) => {
        const { mode, uid, gid, mtimeNs } = statSync(root, { bigint: true });
        assert.deepEqual([mode & 0o7777n, uid, gid, mtimeNs], [0o2751n, 7n, 8n, 1_000_000_001n]);
      });
    });

    test('a merge shows later trees over earlier ones, with what they deleted', async () => {
      const base = await write('base', undefined, files({ 'd/a': 'base', 'd/b': 'base', c: 'base' }));
      const child = await write('child', base, (root) => {
        rmSync(path.join(root, 'c'));
        writeFileSync(path.join(root, 'd/a'), 'child');
      });
      await snapshotter.diff(id('change'), base, child);
      const other = await write('other', undefined, files({ 'd/a': 'other', c: 'other', 'x/y': 'other' }));
      await snapshotter.merge(id('merged'), [other, id('change')]);
      assert.deepEqual(await contents(id('merged')), { 'd/a': 'child', 'x/y': 'other' });
      await snapshotter.merge(id('reversed'), [child, other]);
      assert.deepEqual(await contents(id('reversed')), {
        'd/a': 'other',
        'd/b': 'base',
        c: 'other',
        'x/y': 'other',
      });
    });

    test('a directory that was made anew replaces what it knew, and nothing else that it is laid over', async () => {
      const known = { 'd/old': '1', 'd/sub/old': '1', 'd/sub/kept': '1', 'd/gone/old': '1' };
      const base = await write('base', undefined, files({ ...known, 'd/swap/old': '1' }));
      const child = await write('child', base, (root) => {
        rmSync(path.join(root, 'd'), { recursive: true });
        files({ 'd/new': '2', 'd/sub/kept': '2', 'd/swap': '2' })(root);
      });
      const strange = {
        'd/strange': '3',
        'd/sub/strange': '3',
        'd/gone/strange': '3',
        'd/swap/strange': '3',
      };
      const other = await write('other', undefined, files({ ...strange, 'd/old': '3', 'd/sub/old': '3' }));
      const laidOver = {
        'd/new': '2',
        'd/strange': '3',
        'd/sub/kept': '2',
        'd/sub/strange': '3',
        'd/swap': '2',
      };
      await snapshotter.merge(id('whole'), [other, child]);
      assert.deepEqual(await contents(id('whole')), laidOver);
      await snapshotter.diff(id('change'), base, child);
      await snapshotter.merge(id('changed'), [other, id('change')]);
      assert.deepEqual(await contents(id('changed')), laidOver);
      await snapshotter.merge(id('again'), [base, id('change')]);
      assert.deepEqual(await contents(id('again')), await contents(child));
    });

    test('what was touched without a change is in no diff, and covers nothing in a merge', async () => {
      const base = await write('base', undefined, files({ 'd/file': '1', 'e/file': '1', 'e/gone': '1' }));
      const child = await write('child', base, (root) => {
        // Overlayfs copies all of these into the new layer.
        const { uid, gid } = statSync(path.join(root, 'd/file'));
        chownSync(path.join(root, 'd/file'), uid, gid);
        writeFileSync(path.join(root, 'e/temporary'), '');
        rmSync(path.join(root, 'e/temporary'));
        rmSync(path.join(root, 'e/gone'));
        writeFileSync(path.join(root, 'new'), '2');
      });
      await snapshotter.diff(id('change'), base, child);
      assert.deepEqual(await contents(id('change')), { new: '2' });
      await see(id('change'), (root) => assert.ok(!readdirSync(root).includes('d')));
      const other = await write('other', undefined, files({ 'd/file': '3', 'e/gone': '3', 'e/other': '3' }));
      await snapshotter.merge(id('merged'), [other, id('change')]);
      assert.deepEqual(await contents(id('merged')), { 'd/file': '3', 'e/other': '3', new: '2' });
    });

    test('a merge of trees that share layers applies each once, in its last place', async () => {
      const base = await write('base', undefined, files({ common: 'base' }));
      const left = await write('left', base, files({ left: '1', common: 'left' }));
      const right = await write('right', base, files({ right: '2' }));
      await snapshotter.merge(id('merged'), [left, right]);
      assert.deepEqual(await contents(id('merged')), { common: 'base', left: '1', right: '2' });
    });

    test('a diff alone shows what was added, and nothing where something was deleted', async () => {
      const base = await write('base', undefined, files({ 'd/gone': '1', 'd/kept': '2' }));
      const child = await write('child', base, (root) => {
        rmSync(path.join(root, 'd/gone'));
        writeFileSync(path.join(root, 'd/new'), '3');
      });
      await snapshotter.diff(id('change'), base, child);
      await see(id('change'), (root) => {
        assert.deepEqual(readdirSync(root), ['d']);
        assert.deepEqual(readdirSync(path.join(root, 'd')), ['new']);
      });
      const next = await write('next', id('change'), files({ 'd/next': '4' }));
      await see(next, (root) => assert.deepEqual(readdirSync(path.join(root, 'd')).sort(), ['new', 'next']));
    });

    test('a diff of unrelated trees holds what differs, deletions included', async () => {
      const one = await write('one', undefined, files({ same: 'x', 'd/one': '1', 'swap/inner': '2' }));
      const two = await write('two', undefined, files({ 'd/two': '3', swap: 'now a file' }));
      await see(one, (root) => lstatSync(path.join(root, 'same')));
      await snapshotter.diff(id('change'), one, two);
      const target = await write('target', undefined, files({ same: 'y', 'd/one': 'z', own: 'o' }));
      await snapshotter.merge(id('merged'), [target, id('change')]);
      assert.deepEqual(await contents(id('merged')), { 'd/two': '3', own: 'o', swap: 'now a file' });
    });

    test('a diff of a tree against itself is empty, and can be built on', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      await snapshotter.diff(id('nothing'), base, base);
      assert.deepEqual(await contents(id('nothing')), {});
      const child = await write('child', id('nothing'), files({ b: '2' }));
      assert.deepEqual(await contents(child), { b: '2' });
    });

    test('changes are one entry for each layer above a base', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      const middle = await write('middle', base, files({ b: '2' }));
      const top = await write('top', middle, files({ c: '3' }));
      const directoryOf = (change: Awaited<ReturnType<Snapshotter['changes']>>[number]) =>
        change.kind === 'overlay' ? change.dir : change.upper;
      const all = await snapshotter.changes(top);
      assert.equal(all.length, 3);
      assert.ok(existsSync(path.join(directoryOf(all[0]!), 'a')));
      assert.ok(existsSync(path.join(directoryOf(all[2]!), 'c')));
      assert.deepEqual(await snapshotter.changes(top, middle), all.slice(2));
      await assert.rejects(snapshotter.changes(base, top), hasCode('failed_precondition'));
    });

    test('a layer can be written without a mount', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      await snapshotter.prepare(id('direct'), base);
      const { dir: layer } = await snapshotter.writableLayerDir(id('direct'));
      writeFileSync(path.join(layer, 'b'), '2');
      await snapshotter.commit(id('direct'));
      assert.deepEqual(await contents(id('direct')), { a: '1', b: '2' });
    });

    test('a layer with nothing below is a plain tree: there is nothing that marks could hide', async () => {
      await snapshotter.prepare(id('bottom'));
      assert.equal((await snapshotter.writableLayerDir(id('bottom'))).form, 'tree');
    });

    test('a layer that is written before its parent is there becomes a snapshot, or is removed, or lost with a kill', async () => {
      const place = await snapshotter.stage(id('early'), true);
      if (!place) {
        assert.equal(snapshotter.name, 'native');
        return;
      }
      await assert.rejects(snapshotter.stage(id('early'), true), hasCode('already_exists'));
      assert.equal(place.form, 'overlay');
      files({ own: '1' })(place.dir);
      assert.equal(await snapshotter.stat(id('early')), undefined);
      await assert.rejects(snapshotter.prepare(id('early'), id('base')), hasCode('not_found'));
      const base = await write('base', undefined, (root) => {
        files({ below: '0' })(root);
        chmodSync(root, 0o711);
      });
      await snapshotter.prepare(id('early'), base);
      await snapshotter.commit(id('early'));
      assert.deepEqual(await contents(id('early')), { below: '0', own: '1' });
      assert.equal(await see(id('early'), (root) => statSync(root).mode & 0o777), 0o711);

      const removed = (await snapshotter.stage(id('removed'), false))!;
      assert.equal(removed.form, 'tree');
      files({ own: '1' })(removed.dir);
      const { freed, layerDir } = await snapshotter.remove(id('removed'));
      assert.equal(layerDir, undefined);
      assert.ok((await freed) > 0);
      assert.equal(existsSync(removed.dir), false);

      const lost = (await snapshotter.stage(id('lost'), true))!;
      files({ own: '1' })(lost.dir);
      await snapshotter[Symbol.asyncDispose]();
      database.close();
      start();
      assert.equal(existsSync(lost.dir), false);
      await snapshotter.prepare(id('lost'), id('early'));
      await snapshotter.commit(id('lost'));
      assert.deepEqual(await contents(id('lost')), { below: '0', own: '1' });
    });

    test('removing frees the files, needs children gone, and may be repeated', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      const child = await write('child', base, files({ b: '2' }));
      await snapshotter.merge(id('merged'), [child]);
      await assert.rejects(snapshotter.remove(base), hasCode('failed_precondition'));
      await assert.rejects(snapshotter.remove(child), hasCode('failed_precondition'));
      const [layer] = (await snapshotter.layerDirs(child)).slice(-1);
      await snapshotter.remove(id('merged'));
      await snapshotter.remove(child);
      await snapshotter.remove(child);
      await snapshotter.remove(base);
      assert.equal(existsSync(layer!), false);
      assert.deepEqual(await Array.fromAsync(snapshotter.list()), []);
    });

    test('names are used once, and parents must exist and be committed', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      await assert.rejects(snapshotter.prepare(base), hasCode('already_exists'));
      await assert.rejects(snapshotter.prepare(id('x'), id('nowhere')), hasCode('not_found'));
      await snapshotter.prepare(id('active'));
      await assert.rejects(snapshotter.prepare(id('y'), id('active')), hasCode('failed_precondition'));
      await assert.rejects(snapshotter.mount(id('x')), hasCode('not_found'));
      await snapshotter.commit(id('active'));
      await assert.rejects(snapshotter.commit(id('active')), hasCode('failed_precondition'));
    });

    test('usage counts the space and inodes that removing would free', async () => {
      const base = await write('base', undefined, (root) => {
        writeFileSync(path.join(root, 'big'), Buffer.alloc(1 << 20, 1));
        linkSync(path.join(root, 'big'), path.join(root, 'big2'));
      });
      const [usage, none] = await snapshotter.usage([base, id('nowhere')]);
      const { size, inodes } = usage!;
      assert.ok(size >= 1 << 20 && size < (1 << 20) + 64 * 1024, `${size} bytes`);
      assert.ok(inodes >= 2 && inodes <= 4, `${inodes} inodes`);
      assert.deepEqual(none, { size: 0, inodes: 0 });
      const { freed } = await snapshotter.remove(base);
      assert.equal(await freed, size);
    });

    test('after a kill, what was committed is whole and what nobody recorded is gone', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      await write('child', base, files({ b: '2' }));
      await snapshotter.prepare(id('active'), base);
      mkdirSync(path.join(dir, 'root/s/halfmade/fs'), { recursive: true });
      mkdirSync(path.join(dir, 'root/t/old/deep'), { recursive: true });
      // No close and no flush: the state as the files have it now.
      await snapshotter[Symbol.asyncDispose]();
      database.close();
      start();
      const infos = await Array.fromAsync(snapshotter.list());
      assert.deepEqual(infos.map((info) => [info.id, info.state, info.parents]).sort(), [
        ['active', 'active', ['base']],
        ['base', 'committed', []],
        ['child', 'committed', ['base']],
      ]);
      assert.deepEqual(await contents(id('child')), { a: '1', b: '2' });
      await snapshotter[Symbol.asyncDispose]();
      assert.equal(existsSync(path.join(dir, 'root/s/halfmade')), false);
      assert.deepEqual(readdirSync(path.join(dir, 'root/t')), []);
    });

    test('a record whose files are lost is dropped, with all that is built on it', async () => {
      const base = await write('base', undefined, files({ a: '1' }));
      const child = await write('child', base, files({ b: '2' }));
      await write('other', undefined, files({ c: '3' }));
      await snapshotter.merge(id('merged'), [child]);
      database.close();
      unmountBelow(path.join(dir, 'root'));
      rmSync(path.join(dir, 'root/s/base'), { recursive: true });
      start();
      assert.deepEqual(
        (await Array.fromAsync(snapshotter.list())).map((info) => info.id),
        ['other'],
      );
    });
  });
}
