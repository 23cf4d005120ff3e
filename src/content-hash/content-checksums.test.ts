import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { toSystemPath } from '../base/text/byte-string.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { setXattr } from '../linux/xattr.ts';
import type { ContentSelection, KnownDigest, LayeredTree } from './checksum.ts';
import { createContentChecksums, type LayerChecksums } from './content-checksums.ts';
import { headerOf } from './entry-digests.ts';
import { pathSelection } from './path-selection.ts';

const pool = new ThreadPool({ size: 2 });
after(() => pool[Symbol.asyncDispose]());

interface Place extends Disposable {
  readonly root: string;
  readonly checksums: LayerChecksums;
  /** Makes a layer directory of files by path; a trailing slash makes a directory. */
  layer(name: string, files: Readonly<Record<string, string>>): string;
  digest(dirs: readonly string[], path: string, more?: Partial<ContentSelection>): Promise<string>;
}

function place(): Place {
  const root = mkdtempSync(join(tmpdir(), 'kiln-checksum-'));
  const database = new DatabaseSync(':memory:');
  const checksums = createContentChecksums({ database, pool });
  return {
    root,
    checksums,
    layer(name, files) {
      const dir = join(root, name);
      mkdirSync(dir);
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(path.endsWith('/') ? join(dir, path) : dirname(join(dir, path)), { recursive: true });
        if (!path.endsWith('/')) writeFileSync(join(dir, path), content);
      }
      return dir;
    },
    digest: (dirs, path, more = {}) => checksums.checksum(treeOf(dirs), select(path, more)),
    [Symbol.dispose]() {
      database.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Returns another tree at every call, since the content of an id never changes. */
function treeOf(dirs: readonly string[]): LayeredTree {
  return { id: randomUUID(), layerDirs: async () => dirs };
}

function select(path: string, more: Partial<ContentSelection>): ContentSelection {
  return { ...pathSelection(path), ...more };
}

/** What somebody tells who has hashed other data. */
function told(dir: string, path: string, data: string): KnownDigest {
  const header = headerOf(statSync(join(dir, path), { bigint: true }), '');
  return { path, content: { header, digest: digestOf(header + data) } };
}

const notFound = (path: string) => (error: unknown) =>
  error instanceof KilnError && error.code === 'not_found' && error.message.includes(JSON.stringify(path));

test('times and places do not count, everything else of a file does', async () => {
  using here = place();
  const files = { 'a/dir/file': 'content', 'a/dir/other': 'x', 'b/c/': '' };
  const one = here.layer('one', files);
  const two = here.layer('two', files);
  cpSync(join(two, 'a/dir'), join(two, 'b/c/renamed'), { recursive: true });
  utimesSync(join(two, 'a/dir/file'), 1, 1);
  const original = await here.digest([one], '/a/dir');
  assert.equal(await here.digest([two], '/a/dir'), original);
  assert.equal(await here.digest([two], '/b/c/renamed'), original);
  const changes: readonly (readonly [string, (dir: string) => void])[] = [
    ['data', (dir) => writeFileSync(join(dir, 'file'), 'CONTENT')],
    ['size', (dir) => writeFileSync(join(dir, 'file'), '')],
    ['mode', (dir) => chmodSync(join(dir, 'file'), 0o4644)],
    ['owner', (dir) => chownSync(join(dir, 'file'), 1, 0)],
    ['group', (dir) => chownSync(join(dir, 'file'), 0, 1)],
    ['xattr', (dir) => setXattr(join(dir, 'file'), 'user.x', Buffer.from('y'))],
    ['name', (dir) => renameSync(join(dir, 'file'), join(dir, 'file2'))],
    ['more', (dir) => writeFileSync(join(dir, 'more'), '')],
    ['less', (dir) => rmSync(join(dir, 'other'))],
    ['link', (dir) => symlinkSync('x', join(dir, 'link'))],
    ['other link', (dir) => symlinkSync('y', join(dir, 'link'))],
    ['directory mode', (dir) => chmodSync(dir, 0o700)],
    ['directory xattr', (dir) => setXattr(dir, 'user.x', Buffer.from('y'))],
    ['empty directory', (dir) => mkdirSync(join(dir, 'empty'))],
    ['device', (dir) => mknod(join(dir, 'dev'), 0o020600, makeDevice(1, 3))],
    ['other device', (dir) => mknod(join(dir, 'dev'), 0o020600, makeDevice(1, 5))],
    ['fifo', (dir) => mknod(join(dir, 'dev'), 0o010600)],
    ['bytes', (dir) => writeFileSync(toSystemPath(`${dir}/\xff`), '')],
    ['other bytes', (dir) => writeFileSync(toSystemPath(`${dir}/\xfe`), '')],
  ];
  const digests = new Set([original]);
  for (const [index, [what, change]] of changes.entries()) {
    const dir = here.layer(`changed${index}`, files);
    change(join(dir, 'a/dir'));
    const digest = await here.digest([dir], '/a/dir');
    assert.ok(!digests.has(digest), what);
    digests.add(digest);
  }
});

test('names cannot be moved into content, nor directories into names', async () => {
  using here = place();
  const digests = [];
  for (const [index, files] of [
    { 'd/a/b': '' },
    { 'd/a': 'b' },
    { 'd/ab': '' },
    { 'd/a': '', 'd/b': '' },
  ].entries()) {
    digests.push(
      await here.digest([here.layer(`l${index}`, files as unknown as Record<string, string>)], '/d'),
    );
  }
  assert.equal(new Set(digests).size, digests.length);
});

test('layers are read as overlayfs would show them', async () => {
  using here = place();
  const bottom = here.layer('bottom', {
    'dir/kept': 'kept',
    'dir/gone': 'x',
    'dir/changed': 'old',
    'opaque/hidden': 'x',
    'opaque/sub/hidden': 'x',
    'file-now': 'x',
    'dir-now/below': 'x',
  });
  const middle = here.layer('middle', {
    'dir/changed': 'new',
    'opaque/own': 'own',
    'file-now/x': 'x',
    'dir-now': 'f',
  });
  mknod(join(middle, 'dir/gone'), 0o020000);
  setXattr(join(middle, 'opaque'), 'trusted.overlay.opaque', Buffer.from('y'));
  const top = here.layer('top', { 'dir/added': 'added', 'opaque/sub/fresh': 'x' });
  const flat = here.layer('flat', {
    'dir/kept': 'kept',
    'dir/changed': 'new',
    'dir/added': 'added',
    'opaque/own': 'own',
    'opaque/sub/fresh': 'x',
    'file-now/x': 'x',
    'dir-now': 'f',
  });
  for (const path of ['/', '/dir', '/opaque', '/opaque/sub', '/dir/changed', '/file-now', '/dir-now']) {
    assert.equal(await here.digest([bottom, middle, top], path), await here.digest([flat], path), path);
  }
  for (const path of ['/dir/gone', '/opaque/hidden', '/opaque/sub/hidden', '/dir-now/below']) {
    await assert.rejects(here.digest([bottom, middle, top], path), notFound(path));
  }
});

test('links are followed inside the tree, at the end only when asked', async () => {
  using here = place();
  const dir = here.layer('layer', { 'real/sub/file': 'content', 'real/other': 'x', 'link-dir/': '' });
  symlinkSync('/real', join(dir, 'absolute'));
  symlinkSync('../../../../real/sub', join(dir, 'link-dir/relative'));
  symlinkSync('sub/../other', join(dir, 'real/dots'));
  symlinkSync('loop', join(dir, 'loop'));
  symlinkSync('missing', join(dir, 'broken'));
  const file = await here.digest([dir], '/real/sub/file');
  assert.equal(await here.digest([dir], '/absolute/sub/file'), file);
  assert.equal(await here.digest([dir], '/link-dir/relative/file'), file);
  assert.equal(await here.digest([dir], 'real/../real/./sub/file'), file);
  assert.equal(await here.digest([dir], '/real/dots'), await here.digest([dir], '/real/other'));
  assert.equal(await here.digest([dir], '/absolute'), await here.digest([dir], '/real'));
  const link = await here.digest([dir], '/absolute', { followLinks: false });
  assert.notEqual(link, await here.digest([dir], '/real'));
  assert.notEqual(link, await here.digest([dir], '/broken', { followLinks: false }));
  await assert.rejects(here.digest([dir], '/broken'), notFound('/broken'));
  await assert.rejects(here.digest([dir], '/real/other/x'), notFound('/real/other/x'));
  await assert.rejects(
    here.digest([dir], '/loop'),
    (error) => error instanceof KilnError && error.code === 'failed_precondition',
  );
});

test('a wildcard covers what it matches with its name, and nothing else', async () => {
  using here = place();
  const files = { 'src/a.c': 'a', 'src/b.c': 'b', 'src/c.h': 'c', 'src/deep/x/d.c': 'd', 'src/deep/e': 'e' };
  const dir = here.layer('layer', files);
  const glob = (path: string, layer = dir) => here.digest([layer], path, { wildcard: true });
  const before = await glob('/src/*.c');
  const deep = await glob('/src/d*');
  const nested = await glob('/s?c/*/x/*.c');
  writeFileSync(join(dir, 'src/c.h'), 'changed');
  writeFileSync(join(dir, 'src/deep/e'), 'changed');
  assert.equal(await glob('/src/*.c'), before);
  assert.equal(await glob('/src/*.[a-c]'), before);
  assert.equal(await glob('/s?c/*/x/*.c'), nested);
  assert.notEqual(await glob('/src/d*'), deep);
  symlinkSync('src', join(dir, 'link'));
  assert.equal(await glob('/link/*.c'), before);
  renameSync(join(dir, 'src/b.c'), join(dir, 'src/B.c'));
  assert.notEqual(await glob('/src/*.c'), before);
  const none = await glob('/nothing*');
  assert.equal(await glob('/not/here/*'), none);
  writeFileSync(join(dir, 'st*r'), 'x');
  assert.equal(await glob('/st\\*r'), await here.digest([dir], '/st*r'));
  symlinkSync('deep/e', join(dir, 'src/z-link'));
  const followed = await glob('/src/z*');
  writeFileSync(join(dir, 'src/deep/e'), 'changed again');
  assert.notEqual(await glob('/src/z*'), followed);
});

test('patterns are relative to the selected directory and leave out what they do not take', async () => {
  using here = place();
  const dir = here.layer('layer', {
    'src/keep/a.txt': 'a',
    'src/keep/b.bin': 'b',
    'src/drop/c.txt': 'c',
    'src/drop/deep/d.txt': 'd',
    'src/empty/': '',
  });
  const excluding = { excludePatterns: ['drop', '!drop/deep', '*/*.bin'] };
  const including = { includePatterns: ['keep/*.txt', 'drop/deep'] };
  const both = { ...including, excludePatterns: ['**/d.txt'] };
  const digests = async () => [
    await here.digest([dir], '/src', excluding),
    await here.digest([dir], '/src', including),
    await here.digest([dir], '/src', both),
    await here.digest([dir], '/sr*', { ...both, wildcard: true }),
  ];
  const before = await digests();
  assert.equal(new Set(before).size, 4);
  writeFileSync(join(dir, 'src/keep/b.bin'), 'changed');
  writeFileSync(join(dir, 'src/drop/c.txt'), 'changed');
  assert.deepEqual(await digests(), before);
  chmodSync(join(dir, 'src/empty'), 0o700);
  const [first, ...rest] = await digests();
  assert.notEqual(first, before[0]);
  assert.deepEqual(rest, before.slice(1));
  writeFileSync(join(dir, 'src/drop/deep/d.txt'), 'changed');
  const last = await digests();
  assert.notEqual(last[0], first);
  assert.notEqual(last[1], before[1]);
  assert.deepEqual(last.slice(2), before.slice(2));
});

test("a directory's own metadata counts, that of a tree's root unless nobody made it", async () => {
  using here = place();
  const dir = here.layer('layer', { 'd/file': 'x' });
  const digests = async () => [
    await here.digest([dir], '/d'),
    await here.digest([dir], '/'),
    await here.digest([dir], '/', { rootCounts: false }),
    await here.digest([dir], '/', { excludePatterns: ['x'] }),
  ];
  const before = await digests();
  assert.equal(await here.digest([dir], '/d/'), before[0]);
  chmodSync(join(dir, 'd'), 0o700);
  const after = await digests();
  for (const [index, digest] of after.entries()) assert.notEqual(digest, before[index]);
  chmodSync(dir, 0o700);
  const last = await digests();
  assert.notEqual(last[1], after[1]);
  assert.deepEqual([last[0], ...last.slice(2)], [after[0], ...after.slice(2)]);
});

test('a path that is required has to be there, and changes nothing', async () => {
  using here = place();
  const dir = here.layer('layer', { 'd/file': 'x' });
  const selection = { includePatterns: ['d'] };
  const before = await here.digest([dir], '/', selection);
  assert.equal(await here.digest([dir], '/', { ...selection, requiredPaths: ['/d/file', '/no*'] }), before);
  await assert.rejects(
    here.digest([dir], '/', { ...selection, requiredPaths: ['/d/other'] }),
    notFound('/d/other'),
  );
});

test('the empty tree has a digest, and no files', async () => {
  using here = place();
  assert.equal(await here.digest([], '/'), digestOf(''));
  await assert.rejects(here.digest([], '/x'), notFound('/x'));
});

test('an unchanged file is not read again, a changed one is; digests told in advance are believed', async () => {
  using here = place();
  const dir = here.layer('layer', { 'd/file': 'told', 'd/linked': 'x' });
  linkSync(join(dir, 'd/linked'), join(dir, 'd/twice'));
  const truth = await here.digest([here.layer('same', { 'd/file': 'told' })], '/d/file');
  const { content } = told(dir, 'd/file', 'lies');
  await here.checksums.prime(dir, [
    { path: 'd/file', content },
    { path: Buffer.from('d/absent'), content },
  ]);
  const lie = await here.digest([dir], '/d/file');
  assert.equal(lie, content?.digest);
  assert.equal(await here.digest([dir], '/d/file'), lie);
  const other = here.layer('other', { 'd/file': 'something else' });
  assert.equal(statSync(join(dir, 'd/file')).mode, statSync(join(other, 'd/file')).mode);
  writeFileSync(join(dir, 'd/file'), 'told');
  assert.equal(await here.digest([dir], '/d/file'), truth);
});

test('a digest that was told counts for a file as it was described only', async () => {
  using here = place();
  const changes: readonly ((file: string) => void)[] = [
    (file) => chmodSync(file, 0o600),
    (file) => chownSync(file, 1, 0),
    (file) => chownSync(file, 0, 1),
    (file) => setXattr(file, 'user.x', Buffer.from('y')),
  ];
  for (const [index, change] of changes.entries()) {
    const dir = here.layer(`told${index}`, { file: 'data' });
    const known = told(dir, 'file', 'lies');
    change(join(dir, 'file'));
    await here.checksums.prime(dir, [known]);
    const same = here.layer(`same${index}`, { file: 'data' });
    change(join(same, 'file'));
    const truth = await here.digest([same], '/file');
    assert.equal(await here.digest([dir], '/file'), truth);
    assert.notEqual(truth, known.content?.digest);
  }
  const dir = here.layer('later', { file: 'data' });
  await here.checksums.prime(dir, [told(dir, 'file', 'data')]);
  const before = await here.digest([dir], '/file');
  chmodSync(join(dir, 'file'), 0o600);
  assert.notEqual(await here.digest([dir], '/file'), before);
});

test('what is known of files survives in the database, and is forgotten with their layer', async () => {
  using here = place();
  const database = new DatabaseSync(join(here.root, 'db'));
  const dir = here.layer('layer', { file: 'told' });
  const gone = here.layer('gone', { file: 'x' });
  const first = createContentChecksums({ database, pool });
  await first.prime(dir, [told(dir, 'file', 'other')]);
  await first.checksum(treeOf([gone]), select('/', {}));
  const lie = await first.checksum(treeOf([dir]), select('/', {}));
  rmSync(gone, { recursive: true });
  const second = createContentChecksums({ database, pool });
  assert.equal(await second.checksum(treeOf([dir]), select('/', {})), lie);
  const rows = database.prepare('SELECT dir FROM layer_file_digests').all();
  assert.deepEqual(
    rows.map((row) => row.dir),
    [dir],
  );
  database.close();
});

test('a cancelled checksum is canceled', async () => {
  using here = place();
  const dir = here.layer('layer', { file: 'x' });
  await assert.rejects(
    here.checksums.checksum(treeOf([dir]), select('/', {}), { signal: AbortSignal.abort() }),
    (error) => error instanceof KilnError && error.code === 'canceled',
  );
});

test('a question that was answered for a ref is answered without reading again', async () => {
  using here = place();
  const dir = here.layer('layer', { file: 'content' });
  const ref = treeOf([dir]);
  const answer = await here.checksums.checksum(ref, select('/file', {}));
  rmSync(join(dir, 'file'));
  assert.equal(await here.checksums.checksum(ref, select('/file', {})), answer);
});

test('attributes of every kind of file count, but for marks of overlays and labels of the machine', async () => {
  using here = place();
  const kinds: Record<string, (path: string) => void> = {
    file: (path) => writeFileSync(path, ''),
    directory: (path) => mkdirSync(path),
    link: (path) => symlinkSync('file', path),
    fifo: (path) => mknod(path, 0o010644),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    let count = 0;
    const digestWith = (name?: string) => {
      const dir = here.layer(`${kind}${count++}`, {});
      make(join(dir, 'it'));
      if (name) setXattr(join(dir, 'it'), name, Buffer.from('y'));
      return here.digest([dir], '/it', { followLinks: false });
    };
    const plain = await digestWith();
    assert.notEqual(await digestWith('trusted.note'), plain, kind);
    assert.equal(await digestWith('trusted.overlay.opaque'), plain, kind);
    assert.equal(await digestWith('security.selinux'), plain, kind);
  }
});
