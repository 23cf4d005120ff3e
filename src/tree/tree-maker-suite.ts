import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, KilnError } from '../base/errors.ts';
import { toByteString } from '../base/text/byte-string.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { isOpaque, isWhiteout } from './overlay-marks.ts';
import type { EntryMetadata, LayerMaker } from './tree-maker.ts';

/** A maker of an empty tree, and where the finished tree can be read. */
export interface TreeMakerFixture {
  readonly maker: LayerMaker;
  /** To be called after `finish`. */
  finished(): string;
  /** Bytes that the disk has for the tree. */
  space(): number;
  /** Undoes what `finished` did. */
  close?(): void;
}

const times = { access: 1_000_000_000_123_456_789n, modification: -5_000_000_001n };
const metadata: EntryMetadata = {
  owner: { uid: 7, gid: 8 },
  mode: 0o4751,
  times,
  xattrs: new Map([
    ['user.kept', 'a\0\xff'],
    ['user.overlay.opaque', 'y'],
    ['trusted.overlay.opaque', 'y'],
    ['security.selinux', 'label'],
  ]),
};
const plain: EntryMetadata = { mode: 0o644 };

/** What every `LayerMaker` keeps. `open` gets an empty directory. */
export function treeMakerSuite(name: string, open: (directory: string) => TreeMakerFixture): void {
  const withTree = async (work: (fixture: TreeMakerFixture, scratch: string) => unknown): Promise<void> => {
    const scratch = mkdtempSync(path.join(tmpdir(), 'kiln-tree-maker-'));
    mkdirSync(path.join(scratch, 'tree'));
    const fixture = open(path.join(scratch, 'tree'));
    try {
      using _maker = fixture.maker;
      await work(fixture, scratch);
    } finally {
      fixture.close?.();
      rmSync(scratch, { recursive: true });
    }
  };

  describe(name, () => {
    test('entries of every kind have the metadata that was given, without marks and labels', () =>
      withTree(({ maker, finished }) => {
        const data = Buffer.from('data');
        maker.add('dir', { kind: 'directory', metadata });
        maker.add('dir/file', { kind: 'file', metadata, data });
        maker.add('dir/link', { kind: 'symlink', metadata, target: toByteString('../ä') });
        maker.add('dir/fifo', { kind: 'fifo', metadata });
        maker.add('dir/tty', { kind: 'character-device', metadata, major: 4, minor: 300 });
        maker.add('dir/disk', { kind: 'block-device', metadata, major: 0, minor: 0 });
        maker.setMetadata('dir', { times });
        maker.finish();
        const root = finished();
        for (const entry of ['dir', 'dir/file', 'dir/link', 'dir/fifo', 'dir/tty', 'dir/disk']) {
          const stats = lstatSync(path.join(root, entry), { bigint: true });
          assert.deepEqual([stats.uid, stats.gid, stats.mtimeNs], [7n, 8n, times.modification], entry);
          if (!stats.isSymbolicLink()) assert.equal(stats.mode & 0o7777n, 0o4751n, entry);
        }
        for (const entry of ['dir', 'dir/file']) {
          const names = listXattrs(path.join(root, entry)).filter((each) => each !== 'security.selinux');
          assert.deepEqual(names, ['user.kept']);
          assert.equal(getXattr(path.join(root, entry), 'user.kept')?.toString('latin1'), 'a\0\xff');
        }
        assert.equal(readFileSync(path.join(root, 'dir/file'), 'latin1'), 'data');
        assert.equal(maker.readLink('dir/link'), toByteString('../ä'));
        assert.equal(
          lstatSync(path.join(root, 'dir/tty')).rdev,
          (300 & 0xff) | (4 << 8) | ((300 & ~0xff) << 12),
        );
        assert.ok(lstatSync(path.join(root, 'dir/disk')).isBlockDevice());
      }));

    test('a name is given once, and names that are not UTF-8 are kept', () =>
      withTree(({ maker, finished }) => {
        const name = 'a\xff';
        maker.add(name, { kind: 'file', metadata: plain, data: Buffer.from('x') });
        for (const again of [
          () => maker.add(name, { kind: 'directory', metadata: plain }),
          () => maker.add(name, { kind: 'symlink', metadata: plain, target: 'x' }),
          () => maker.addFile(name, plain),
          () => maker.addWhiteout(name),
        ]) {
          assert.throws(again, (error) => errnoOf(error) === 'EEXIST');
        }
        maker.finish();
        assert.equal(readFileSync(Buffer.from(`${finished()}/${name}`, 'latin1'), 'latin1'), 'x');
      }));

    test('a device that would delete is refused', () =>
      withTree(({ maker }) => {
        const device = { kind: 'character-device', metadata: plain, major: 0, minor: 0 } as const;
        assert.throws(
          () => maker.add('x', device),
          (error) => error instanceof KilnError && error.code === 'invalid_argument',
        );
        assert.equal(maker.lookup('x'), undefined);
      }));

    test('files grow side by side, with holes, also at the end', () =>
      withTree(({ maker, finished, space }) => {
        const one = maker.addFile('one', metadata);
        const two = maker.addFile('two', plain);
        one.write(Buffer.from('1'));
        two.hole(1 << 20);
        one.write(Buffer.from('2'));
        two.write(Buffer.from('end'));
        two.hole(1 << 20);
        // No data is no end of a hole.
        two.write(Buffer.of());
        one.finish();
        assert.throws(() => maker.finish(), 'a file has not ended');
        two.finish();
        maker.finish();
        const root = finished();
        assert.equal(readFileSync(path.join(root, 'one'), 'latin1'), '12');
        assert.equal(lstatSync(path.join(root, 'one'), { bigint: true }).mtimeNs, times.modification);
        const held = readFileSync(path.join(root, 'two'));
        assert.equal(held.length, (2 << 20) + 3);
        assert.equal(held.toString('latin1', 1 << 20, (1 << 20) + 3), 'end');
        assert.ok(space() < 1 << 20);
      }));

    test('a file takes a stream', () =>
      withTree(async ({ maker, finished }) => {
        const chunks = Array.from({ length: 100 }, (_, index) => Buffer.alloc(30_000, index));
        const file = maker.addFile('file', plain);
        await file.writeAll(asyncOf(chunks), new AbortController().signal);
        file.write(Buffer.from('end'));
        file.finish();
        maker.finish();
        assert.deepEqual(
          readFileSync(path.join(finished(), 'file')),
          Buffer.concat([...chunks, Buffer.from('end')]),
        );
      }));

    test('a file is given up with its stream', () =>
      withTree(async ({ maker }) => {
        const failing = maker.addFile('failing', plain);
        const failure = new KilnError('unavailable', 'gone');
        await assert.rejects(
          failing.writeAll(asyncOf([Buffer.alloc(100_000)], failure), new AbortController().signal),
          failure,
        );
        const ended = new AbortController();
        const endless = maker.addFile('endless', plain).writeAll(endlessly(), ended.signal);
        ended.abort();
        await assert.rejects(endless, { name: 'AbortError' });
        const silent = new AbortController();
        const waiting = maker.addFile('waiting', plain).writeAll(silence(), silent.signal);
        silent.abort();
        await assert.rejects(waiting, { name: 'AbortError' });
        assert.throws(() => maker.finish(), 'files have not ended');
      }));

    test('hard links are names of one entry, whose metadata changes for all', () =>
      withTree(({ maker, finished }) => {
        maker.add('a', { kind: 'file', metadata: plain, data: Buffer.from('x') });
        maker.add('b', { kind: 'hard-link', target: 'a' });
        maker.setMetadata('b', { mode: 0o600, owner: { uid: 3, gid: 4 } });
        maker.finish();
        const [a, b] = ['a', 'b'].map((each) => lstatSync(path.join(finished(), each)));
        assert.equal(a!.ino, b!.ino);
        assert.deepEqual([a!.mode & 0o7777, a!.uid, a!.gid, a!.nlink], [0o600, 3, 4, 2]);
      }));

    test('what was made can be looked at and removed, and links are not followed', () =>
      withTree(({ maker }) => {
        maker.add('dir', { kind: 'directory', metadata: { mode: 0o700, owner: { uid: 1, gid: 2 } } });
        maker.add('dir/x', { kind: 'file', metadata: plain, data: Buffer.of() });
        maker.add('link', { kind: 'symlink', metadata: {}, target: 'dir' });
        assert.deepEqual(maker.lookup('dir'), { kind: 'directory', mode: 0o700, uid: 1, gid: 2 });
        assert.equal(maker.lookup('')?.kind, 'directory');
        assert.equal(maker.lookup('link')?.kind, 'symlink');
        assert.equal(maker.lookup('none'), undefined);
        assert.throws(
          () => maker.lookup('dir/x/y'),
          (error) => errnoOf(error) === 'ENOTDIR',
        );
        assert.deepEqual([...maker.names('')].sort(), ['dir', 'link']);
        maker.remove('link');
        assert.deepEqual(maker.names('dir'), ['x']);
        maker.remove('dir');
        maker.remove('none');
        assert.deepEqual(maker.names(''), []);
      }));

    test('copies keep what their source has, but for what is asked for, and names of one file where they are told', () =>
      withTree(({ maker, finished }, scratch) => {
        const from = path.join(scratch, 'from');
        mkdirSync(from);
        execFileSync(
          'bash',
          [
            '-euc',
            'echo x > a; ln a b; chown 5:6 a; chmod 4711 a; ln -s a l; mknod p p; mknod w c 0 0; mkdir d; touch -hd @1.5 a l p d',
          ],
          { cwd: from },
        );
        setXattr(path.join(from, 'a'), 'user.kept', Buffer.from('v'));
        setXattr(path.join(from, 'a'), 'trusted.overlay.opaque', Buffer.from('y'));
        const sourceOf = (each: string) => {
          const file = path.join(from, each);
          return { path: toByteString(file), stats: lstatSync(file, { bigint: true }) };
        };
        const firstNames = new Map<string, string>();
        maker.copy('a', { path: `${from}/a` }, { firstNames });
        maker.copy('b', sourceOf('b'), { firstNames });
        maker.copy('alone', sourceOf('a'), {
          owner: { uid: 1, gid: 1 },
          mode: (mode) => mode & 0o700,
          timestamp: 9n,
        });
        for (const each of ['l', 'p', 'w']) maker.copy(each, sourceOf(each), {});
        maker.add('d', { kind: 'directory', metadata: plain });
        maker.copyMetadata('d', sourceOf('d'), {});
        maker.finish();
        const at = (each: string) => lstatSync(path.join(finished(), each), { bigint: true });
        assert.equal(at('a').ino, at('b').ino);
        assert.notEqual(at('a').ino, at('alone').ino);
        assert.deepEqual([at('a').mode & 0o7777n, at('a').uid, at('a').gid], [0o4711n, 5n, 6n]);
        assert.deepEqual(
          [at('alone').mode & 0o7777n, at('alone').uid, at('alone').mtimeNs],
          [0o700n, 1n, 9n],
        );
        assert.deepEqual(
          listXattrs(path.join(finished(), 'a')).filter((each) => each !== 'security.selinux'),
          ['user.kept'],
        );
        for (const each of ['a', 'l', 'p', 'd']) assert.equal(at(each).mtimeNs, 1_500_000_000n, each);
        assert.equal(maker.readLink('l'), 'a');
        assert.equal(maker.lookup('w'), undefined);
      }));

    test('a layer has marks, and directories as they are below', () =>
      withTree(({ maker, finished }, scratch) => {
        const below = path.join(scratch, 'below');
        mkdirSync(below, { mode: 0o711 });
        setXattr(below, 'user.overlay.kept', Buffer.from('v'));
        setXattr(below, 'trusted.overlay.opaque', Buffer.from('y'));
        maker.addWhiteout('gone');
        maker.copyUp('dir', { path: below, stats: lstatSync(below, { bigint: true }) });
        assert.equal(maker.isOpaque('dir'), false);
        maker.add('opaque', { kind: 'directory', metadata: plain });
        maker.makeOpaque('opaque');
        assert.equal(maker.isOpaque('opaque'), true);
        assert.equal(maker.lookup('gone')?.kind, 'whiteout');
        maker.finish();
        const root = finished();
        assert.ok(isWhiteout(lstatSync(path.join(root, 'gone'), { bigint: true })));
        assert.ok(isOpaque(path.join(root, 'opaque')));
        assert.equal(lstatSync(path.join(root, 'dir')).mode & 0o7777, 0o711);
        assert.ok(listXattrs(path.join(root, 'dir')).includes('user.overlay.kept'));
      }));
  });
}

async function* asyncOf(chunks: readonly Buffer[], failure?: Error): AsyncGenerator<Buffer> {
  yield* chunks;
  if (failure) throw failure;
}

/** Sends something, and then nothing, without ending. */
async function* silence(): AsyncGenerator<Buffer> {
  yield Buffer.from('x');
  await new Promise(() => {});
}

async function* endlessly(): AsyncGenerator<Buffer> {
  for (;;) {
    await delay(1);
    yield Buffer.alloc(10);
  }
}
