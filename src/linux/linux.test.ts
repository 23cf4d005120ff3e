import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
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
  rmSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import { copyData } from './copy-data.ts';
import { type CopyChanges, SourceFile } from './copy-file.ts';
import { lockRoot } from './flock.ts';
import { majorOf, makeDevice, minorOf, mknod } from './mknod.ts';
import { bindMount, mount, unmount } from './mount.ts';
import { mountFlags } from './mount-flags.ts';
import { mountPointsBelow, unmountBelow } from './mount-table.ts';
import { mountOverlay } from './overlay.ts';
import { restrictionsOfMount } from './restrictions-of-mount.ts';
import { shrinkHeap } from './shrink-heap.ts';
import { spreadDirectories } from './spread-directories.ts';
import { utimens } from './utimens.ts';
import { getXattr, listXattrs, removeXattr, setXattr } from './xattr.ts';

let dir: string;
const at = (name: string) => path.join(dir, name);

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-linux-'));
});
afterEach(() => {
  unmountBelow(dir);
  rmSync(dir, { recursive: true, force: true });
});

test('a failed call has its errno name as code, and keeps its meaning as a KilnError', () => {
  assert.throws(
    () => setXattr(at('missing'), 'user.a', Buffer.from('1')),
    (error) => errnoOf(error) === 'ENOENT' && asKilnError(error).code === 'not_found',
  );
});

test('directories are to be spread on a file system that can, others stay as they are', () => {
  mkdirSync(at('many'));
  spreadDirectories(at('many'));
  spreadDirectories(at('many'));
  const ext = 0xef53;
  const { stdout } = spawnSync('lsattr', ['-d', at('many')], { encoding: 'utf8' });
  assert.equal(/^\S*T/.test(stdout), statfsSync(dir).type === ext);
  mkdirSync(at('many/one'));
  assert.throws(() => spreadDirectories(at('missing')), { code: 'ENOENT' });
});

test('extended attributes of any size are set, listed, read and removed, also on names that are not UTF-8', () => {
  const file = Buffer.concat([Buffer.from(`${dir}/`), Buffer.of(0xff, 0x66)]);
  writeFileSync(file, '');
  const big = Buffer.alloc(3000, 7);
  setXattr(file, 'user.small', Buffer.alloc(0));
  setXattr(file, 'trusted.big', big);
  assert.deepEqual(listXattrs(file).sort(), ['trusted.big', 'user.small']);
  assert.deepEqual(getXattr(file, 'trusted.big'), big);
  assert.deepEqual(getXattr(file, 'user.small'), Buffer.alloc(0));
  assert.equal(getXattr(file, 'user.other'), undefined);
  assert.throws(() => setXattr(file, 'user.a\0b', big), { code: 'EINVAL' });
  removeXattr(file, 'user.small');
  removeXattr(file, 'user.small');
  assert.deepEqual(listXattrs(file), ['trusted.big']);
});

test('device numbers are put together and taken apart as the kernel does', () => {
  for (const [major, minor] of [
    [0, 0],
    [1, 3],
    [259, 1_048_575],
    [4095, 70_000],
  ] as const) {
    const device = makeDevice(major, minor);
    assert.deepEqual([majorOf(device), minorOf(device)], [major, minor]);
    mknod(at('device'), 0o020600, device);
    assert.equal(lstatSync(at('device'), { bigint: true }).rdev, device);
    rmSync(at('device'));
  }
});

test('times are set to the nanosecond, before 1970 too, on a link itself, and one alone', () => {
  writeFileSync(at('file'), '');
  symlinkSync('file', at('link'));
  utimens(at('file'), 1_000_000_007n, -5n);
  utimens(at('link'), 3n, 4n);
  utimens(at('file'), undefined, -6n);
  const file = lstatSync(at('file'), { bigint: true });
  const link = lstatSync(at('link'), { bigint: true });
  assert.deepEqual([file.atimeNs, file.mtimeNs, link.atimeNs, link.mtimeNs], [1_000_000_007n, -6n, 3n, 4n]);
});

test('a read-only bind shows the files and takes no changes', () => {
  mkdirSync(at('source'));
  mkdirSync(at('target with space'));
  writeFileSync(at('source/file'), '1');
  bindMount(at('source'), at('target with space'), { readonly: true });
  assert.equal(readFileSync(at('target with space/file'), 'utf8'), '1');
  assert.throws(() => writeFileSync(at('target with space/file'), '2'), { code: 'EROFS' });
  assert.deepEqual(mountPointsBelow(dir).map(String), [at('target with space')]);
  unmount(at('target with space'));
  unmount(at('target with space'));
  unmount(at('not there'));
  assert.deepEqual(mountPointsBelow(dir), []);
});

test('what restricts a mount is known from any path below it', () => {
  const target = at('restricted');
  mkdirSync(target);
  const { nosuid, nodev } = mountFlags;
  mount({ source: 'tmpfs', target, type: 'tmpfs', flags: nosuid | nodev });
  mkdirSync(at('restricted/below'));
  assert.deepEqual(restrictionsOfMount(at('restricted/below')), ['nosuid', 'nodev']);
  assert.throws(() => restrictionsOfMount(at('restricted/missing')), { code: 'ENOENT' });
});

test('everything below a directory is unmounted, nested and stacked mounts too, and neighbours are left', () => {
  for (const name of ['a', 'ab']) {
    mkdirSync(at(name));
    mount({ source: 'none', target: at(name), type: 'tmpfs' });
  }
  mkdirSync(at('a/inner'));
  mount({ source: 'none', target: at('a/inner'), type: 'tmpfs' });
  mount({ source: 'none', target: at('a/inner'), type: 'tmpfs' });
  assert.equal(unmountBelow(at('a')), 3);
  assert.deepEqual(mountPointsBelow(dir).map(String), [at('ab')]);
});

test('an overlay of 300 layers with long paths mounts', () => {
  const lowerDirs = Array.from({ length: 300 }, (_, index) => at(`${'long'.repeat(20)}-${index}/fs`));
  for (const [index, lower] of lowerDirs.entries()) {
    mkdirSync(lower, { recursive: true });
    writeFileSync(path.join(lower, 'top'), `${index}`);
    writeFileSync(path.join(lower, `file${index}`), '');
  }
  for (const name of ['upper', 'work', 'merged']) mkdirSync(at(name));
  mountOverlay({ lowerDirs, upperDir: at('upper'), workDir: at('work') }, at('merged'));
  assert.equal(readdirSync(at('merged')).length, 301);
  assert.equal(readFileSync(at('merged/top'), 'utf8'), '0');
  rmSync(at('merged/file7'));
  assert.ok(lstatSync(at('upper/file7')).isCharacterDevice());
});

test('a writable overlay can be unmounted and mounted again with what was written', () => {
  for (const name of ['lower', 'base', 'upper', 'work', 'merged']) mkdirSync(at(name));
  const lowerDirs = [at('lower'), at('base')];
  for (const name of ['first', 'second']) {
    mountOverlay({ lowerDirs, upperDir: at('upper'), workDir: at('work') }, at('merged'));
    writeFileSync(at(`merged/${name}`), '');
    unmount(at('merged'));
  }
  assert.deepEqual(readdirSync(at('upper')), ['first', 'second']);
});

test('an overlay follows no mark from one layer into another, and waits for no disk', () => {
  for (const name of ['above/led', 'below/private', 'upper', 'merged'])
    mkdirSync(at(name), { recursive: true });
  writeFileSync(at('below/private/key'), '');
  writeFileSync(at('below/file'), 'below');
  writeFileSync(at('above/file'), '');
  setXattr(at('above/led'), 'trusted.overlay.redirect', Buffer.from('/private'));
  setXattr(at('above/file'), 'trusted.overlay.metacopy', Buffer.alloc(0));
  const lowerDirs = [at('above'), at('below')];
  mountOverlay({ lowerDirs, upperDir: at('upper'), workDir: at('work') }, at('merged'));
  assert.throws(() => readdirSync(at('merged/led')), { code: 'EPERM' });
  assert.throws(() => readFileSync(at('merged/file')), { code: 'EPERM' });
  assert.throws(() => mknod(at('merged/deleted'), 0o020600, 0), { code: 'EPERM' });
  assert.ok(existsSync(at('work/work/incompat/volatile')));
});

test('paths with the characters that separate mount options can be mounted', () => {
  for (const name of ['a:b,c\\d', 'e']) mkdirSync(at(name));
  for (const name of ['up,per', 'wo:rk', 'merged']) mkdirSync(at(name));
  mountOverlay(
    { lowerDirs: [at('a:b,c\\d'), at('e')], upperDir: at('up,per'), workDir: at('wo:rk') },
    at('merged'),
  );
  writeFileSync(at('merged/file'), '');
  assert.ok(existsSync(at('up,per/file')));
});

test('copied data keeps its holes', () => {
  const from = openSync(at('from'), 'w+');
  writeSync(from, 'begin', 0);
  writeSync(from, 'middle', 5 << 20);
  ftruncateSync(from, 9 << 20);
  const to = openSync(at('to'), 'w+');
  copyData(from, to, 9 << 20);
  closeSync(from);
  closeSync(to);
  assert.ok(readFileSync(at('to')).equals(readFileSync(at('from'))));
  assert.ok(lstatSync(at('to')).blocks * 512 < 1 << 20);
});

describe('a copied file', () => {
  const keepAll = () => false;
  /** A copy of the file `source`, with what stat(1) says of it. */
  const copy = (target: string, changes: CopyChanges = {}, skips: (name: string) => boolean = keepAll) => {
    using file = new SourceFile(at('source'));
    file.copyTo(at(target), changes, skips);
    const stats = lstatSync(at(target), { bigint: true });
    return {
      mode: (stats.mode & 0o7777n).toString(8),
      owner: `${stats.uid}:${stats.gid}`,
      times: [stats.atimeNs, stats.mtimeNs],
      text: readFileSync(at(target), 'utf8'),
    };
  };
  const make = (mode: number, text: string) => {
    writeFileSync(at('source'), text);
    chmodSync(at('source'), mode);
  };

  test('has the data, mode, owner, attributes and times of its source', () => {
    make(0o644, 'text');
    chownSync(at('source'), 12, 34);
    chmodSync(at('source'), 0o6753);
    setXattr(at('source'), 'trusted.kept', Buffer.from('1'));
    setXattr(at('source'), 'trusted.left', Buffer.from('2'));
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    setXattr(at('source'), 'security.capability', capability);
    const times = [-1_500_000_001n, 1_234_567_890_123_456_789n] as const;
    utimens(at('source'), ...times);
    const copied = copy('target', {}, (name) => name === 'trusted.left');
    assert.deepEqual(copied, { mode: '6753', owner: '12:34', times, text: 'text' });
    assert.deepEqual(listXattrs(at('target')).sort(), ['security.capability', 'trusted.kept']);
    assert.deepEqual(getXattr(at('target'), 'security.capability'), capability);
  });

  test('has the mode, owner and times that are asked for instead', () => {
    make(0o640, 'text');
    const owner = { uid: 5, gid: 6 };
    assert.deepEqual(copy('target', { owner, mode: (own) => own | 0o4011, timestamp: -1n }), {
      mode: '4651',
      owner: '5:6',
      times: [-1n, -1n],
      text: 'text',
    });
  });

  test('has them whatever its directory passes on, and the umask', () => {
    make(0o666, 'text');
    mkdirSync(at('set-group-id'));
    chownSync(at('set-group-id'), 0, 77);
    chmodSync(at('set-group-id'), 0o2755);
    mkdirSync(at('default-list'));
    const list = '0200000001000700ffffffff04000000ffffffff20000000ffffffff';
    setXattr(at('default-list'), 'system.posix_acl_default', Buffer.from(list, 'hex'));
    for (const target of ['target', 'set-group-id/target', 'default-list/target']) {
      const { mode, owner } = copy(target);
      assert.deepEqual({ mode, owner }, { mode: '666', owner: '0:0' }, target);
    }
  });

  test('is made of what is large, empty or has holes as well, and never over something', () => {
    make(0o600, '');
    assert.equal(copy('empty').text, '');
    for (const size of [65_535, 65_536, 1_000_000]) {
      make(0o600, 'x'.repeat(size));
      assert.equal(copy(`of-${size}`).text.length, size);
    }
    truncateSync(at('source'), 64 << 20);
    copy('holes');
    const { size, blocks } = lstatSync(at('holes'));
    assert.ok(size === 64 << 20 && blocks * 512 < 4 << 20, `${blocks} blocks`);
    assert.throws(() => copy('empty'), { code: 'EEXIST' });
    symlinkSync(at('elsewhere'), at('link'));
    assert.throws(() => copy('link'), { code: 'EEXIST' });
  });

  test('is made of regular files only, whose names are known to be of one file', () => {
    make(0o600, 'text');
    const identityOf = (name: string) => {
      using file = new SourceFile(at(name));
      return file.identity;
    };
    assert.equal(identityOf('source'), undefined);
    linkSync(at('source'), at('second'));
    assert.equal(identityOf('source'), identityOf('second'));
    assert.notEqual(identityOf('source'), undefined);
    mknod(at('fifo'), 0o010600);
    assert.throws(() => identityOf('fifo'), { code: 'EINVAL' });
    symlinkSync('source', at('link'));
    assert.throws(() => identityOf('link'), { code: 'ELOOP' });
  });
});

test('a root is locked for one process at a time, and who holds it is named', () => {
  const script = `
    import { lockRoot } from ${JSON.stringify(path.join(import.meta.dirname, 'flock.ts'))};
    try { lockRoot(process.argv[1]); console.log('locked'); } catch (error) { console.log(error.code, error.message); }
  `;
  const other = () =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script, dir], { encoding: 'utf8' }).stdout;
  {
    using _lock = lockRoot(dir);
    assert.match(other(), new RegExp(`^failed_precondition .*process ${process.pid}\\)`));
    assert.throws(
      () => lockRoot(dir),
      (error) => error instanceof KilnError && error.code === 'failed_precondition',
    );
  }
  assert.equal(other(), 'locked\n');
});

test('a heap gives back the pages it does not use', async () => {
  let garbage: unknown[] | undefined = Array.from({ length: 500_000 }, (_, index) => ({ index }));
  const held = process.memoryUsage().heapTotal;
  assert.equal(garbage.length, 500_000);
  garbage = undefined;
  shrinkHeap();
  const deadline = performance.now() + 10_000;
  while (process.memoryUsage().heapTotal > held - (10 << 20)) {
    assert.ok(
      performance.now() < deadline,
      `the heap still holds ${process.memoryUsage().heapTotal} of ${held} bytes`,
    );
    await setImmediate();
  }
});
