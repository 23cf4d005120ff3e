import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { unmount } from '../../linux/mount.ts';
import { mountOverlay } from '../../linux/overlay.ts';
import { getXattr, setXattr } from '../../linux/xattr.ts';
import { makeWhiteout } from '../../tree/overlay-marks.ts';
import { DifferRig, describeTree, hasCode, makeTar, openPlace, putBlob } from '../layer-differ-rig.ts';

const rig = new DifferRig();
after(() => rig[Symbol.asyncDispose]());
const { differ } = rig;
const unpack = rig.unpack.bind(rig);

test('whiteouts delete in a tree and become marks in an overlay', async () => {
  using here = await openPlace();
  const layer = makeTar([
    { name: 'gone/', type: 'directory', mode: 0o700 },
    { name: '.wh.gone' },
    { name: '.wh.file' },
    { name: 'dir/new', data: 'new' },
    { name: 'dir/.wh..wh..opq' },
    { name: 'again/', type: 'directory', mode: 0o750 },
    { name: '.wh.again' },
    { name: '.wh.reborn' },
    { name: 'reborn/', type: 'directory', mode: 0o711 },
    { name: '.wh.parent' },
    { name: 'parent/child', data: 'x' },
    { name: '.wh..wh.plnk' },
  ]);
  const tree = here.dir('tree');
  for (const name of ['gone', 'dir/below', 'again', 'reborn', 'parent']) {
    mkdirSync(join(tree, name), { recursive: true });
    writeFileSync(join(tree, name, 'old'), 'old');
  }
  writeFileSync(join(tree, 'file'), 'old');
  await unpack(layer, here, tree, 'tree');
  assert.deepEqual(Object.keys(describeTree(tree)), [
    'again',
    'dir',
    'dir/new',
    'gone',
    'parent',
    'parent/child',
    'reborn',
  ]);

  const overlay = here.dir('overlay');
  await unpack(layer, here, overlay, 'overlay');
  const marks = Object.entries(describeTree(overlay)).map(([path, text]) =>
    [
      path,
      text.includes('trusted.overlay.opaque=79') ? 'opaque' : '',
      text.startsWith('20000 0:0') ? 'whiteout' : '',
    ]
      .filter(Boolean)
      .join(' '),
  );
  assert.deepEqual(marks, [
    'again opaque',
    'dir opaque',
    'dir/new',
    'file whiteout',
    'gone opaque',
    'parent opaque',
    'parent/child',
    'reborn opaque',
  ]);
});

test('parents that a layer does not name stay as they are below', async () => {
  using here = await openPlace();
  const fill = (dir: string) => {
    for (const name of ['tmp/inner', 'gone', 'hidden/inner', 'emptied/inner']) {
      mkdirSync(join(dir, name), { recursive: true });
      writeFileSync(join(dir, name, 'old'), 'old');
    }
    chownSync(join(dir, 'tmp/inner'), 3, 4);
    setXattr(join(dir, 'tmp/inner'), 'user.note', Buffer.from('kept'));
    for (const name of ['tmp', 'gone', 'hidden/inner', 'emptied/inner']) chmodSync(join(dir, name), 0o1777);
  };
  const layer = makeTar([
    { name: 'tmp/inner/new', data: 'x' },
    { name: '.wh.gone' },
    { name: 'gone/new', data: 'x' },
    { name: 'hidden/.wh..wh..opq' },
    { name: 'hidden/inner/new', data: 'x' },
    { name: 'emptied/inner/new', data: 'x' },
    { name: 'emptied/.wh..wh..opq' },
  ]);
  const [tree, below, own] = [here.dir('tree'), here.dir('below'), here.dir('own')];
  fill(tree);
  await unpack(layer, here, tree, 'tree');
  fill(below);
  await differ.apply(await putBlob(here.store, layer), here.store, {
    dir: own,
    form: 'overlay',
    below: async () => [here.dir('nothing'), below],
  });
  const merged = here.dir('merged');
  mountOverlay({ lowerDirs: [own, below] }, merged);
  try {
    assert.deepEqual(withoutTimes(describeTree(merged)), withoutTimes(describeTree(tree)));
    const { 'tmp/inner': inner, tmp, gone, 'hidden/inner': hidden } = modes(merged);
    assert.deepEqual(
      { tmp, inner, gone, hidden },
      { tmp: '1777 0:0', inner: '755 3:4', gone: '755 0:0', hidden: '755 0:0' },
    );
    assert.deepEqual(readdirSync(join(merged, 'emptied/inner')), ['new']);
    assert.equal(lstatSync(join(own, 'tmp')).mtimeMs, lstatSync(join(below, 'tmp')).mtimeMs);
  } finally {
    unmount(merged);
  }
});

test('a deletion in a directory that no layer below has leaves no name', async () => {
  using here = await openPlace();
  const [below, own, merged] = [here.dir('below'), here.dir('own'), here.dir('merged')];
  for (const name of ['both', 'opaque']) {
    mkdirSync(join(below, name));
    writeFileSync(join(below, name, 'old'), 'old');
  }
  const layer = makeTar([
    { name: 'new/.wh.old' },
    { name: 'new/kept', data: 'x' },
    { name: 'both/.wh.old' },
    { name: 'opaque/.wh.old' },
    { name: 'opaque/.wh..wh..opq' },
    { name: '.wh.nothing' },
  ]);
  const blob = await putBlob(here.store, layer);
  await differ.apply(blob, here.store, { dir: own, form: 'overlay', below: async () => [below] });
  mountOverlay({ lowerDirs: [own, below] }, merged);
  try {
    assert.deepEqual(readdirSync(merged, { recursive: true }).toSorted(), [
      'both',
      'new',
      'new/kept',
      'opaque',
    ]);
  } finally {
    unmount(merged);
  }
});

test('a directory that is described after something was put into it is as described, with what the layers below add', async () => {
  using here = await openPlace();
  const [below, own] = [here.dir('below'), here.dir('own')];
  for (const name of ['described', 'emptied', 'replaced', 'fresh/inner']) {
    mkdirSync(join(below, name), { recursive: true });
    chmodSync(join(below, name), 0o1777);
    setXattr(join(below, name), 'user.below', Buffer.from(name));
  }
  const layer = makeTar([
    { name: 'described/file', data: 'x' },
    { name: 'described/', type: 'directory', mode: 0o710, uid: 5 },
    { name: 'emptied/file', data: 'x' },
    { name: 'emptied/.wh..wh..opq' },
    { name: 'replaced/inner/file', data: 'x' },
    { name: 'replaced', type: 'symlink', linkName: 'fresh' },
    { name: 'replaced/inner/file', data: 'x' },
  ]);
  let asked = 0;
  await differ.apply(await putBlob(here.store, layer), here.store, {
    dir: own,
    form: 'overlay',
    below: async () => {
      asked++;
      assert.equal(readFileSync(join(own, 'described/file'), 'utf8'), 'x');
      return [below];
    },
  });
  assert.equal(asked, 1);
  const { described, emptied, replaced, 'fresh/inner': inner } = modes(own);
  assert.deepEqual(
    { described, emptied, replaced, inner },
    { described: '710 5:0', emptied: '1777 0:0', replaced: '777 0:0', inner: '1777 0:0' },
  );
  assert.equal(getXattr(join(own, 'described'), 'user.below')?.toString(), 'described');
  assert.equal(getXattr(join(own, 'emptied'), 'trusted.overlay.opaque')?.toString(), 'y');
  assert.equal(lstatSync(join(own, 'emptied')).mtimeMs, lstatSync(join(below, 'emptied')).mtimeMs);
});

test('the layers below are not asked for where a layer says all of itself', async () => {
  using here = await openPlace();
  const layer = makeTar([
    { name: 'dir/', type: 'directory' },
    { name: 'dir/file', data: 'x' },
    { name: 'dir/.wh..wh..opq' },
  ]);
  const below = () => Promise.reject(new Error('asked'));
  const target = { dir: here.dir('own'), form: 'overlay', below } as const;
  await differ.apply(await putBlob(here.store, layer), here.store, target);
  assert.equal(readFileSync(join(target.dir, 'dir/file'), 'utf8'), 'x');
});

function withoutTimes(described: Record<string, string>): readonly string[] {
  return Object.entries(described).map(([name, text]) => `${name} ${text.replace(/ \d{16,} /, ' ')}`);
}

function modes(dir: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => {
      const { mode, uid, gid } = lstatSync(join(dir, name));
      return [name, `${(mode & 0o7777).toString(8)} ${uid}:${gid}`];
    }),
  );
}

test('what takes the place of a directory with a deletion in it keeps what it is, and leads nowhere', async () => {
  using here = await openPlace();
  const outside = here.dir('outside');
  makeWhiteout(join(outside, 'gone'));
  const own = here.dir('own');
  const layer = makeTar([
    { name: 'link/.wh.gone' },
    { name: 'link', type: 'symlink', linkName: outside },
    { name: 'file/.wh.gone' },
    { name: 'file', data: 'x' },
  ]);
  const below = async () => [here.dir('below')];
  const target = { dir: own, form: 'overlay', below } as const;
  await differ.apply(await putBlob(here.store, layer), here.store, target);
  assert.equal(readFileSync(join(own, 'file'), 'utf8'), 'x');
  assert.deepEqual(readdirSync(outside), ['gone']);
});

test('a hard link cannot take the place of the directory that its file lies in', async () => {
  for (const form of ['overlay', 'tree'] as const) {
    using here = await openPlace();
    const out = here.dir('out');
    const layer = makeTar([
      { name: 'dir/inner/file', data: 'x' },
      { name: 'dir', type: 'hardlink', linkName: 'dir/inner/file' },
    ]);
    await assert.rejects(unpack(layer, here, out, form), {
      code: 'invalid_argument',
      message:
        'layer entry "dir" is a hard link to "dir/inner/file", which lies in the directory that it would replace',
    });
    assert.equal(readFileSync(join(out, 'dir/inner/file'), 'utf8'), 'x');
  }
});

test('an entry replaces what was there, but a directory keeps what is in it', async () => {
  using here = await openPlace();
  const tree = here.dir('tree');
  mkdirSync(join(tree, 'dir'));
  writeFileSync(join(tree, 'dir/kept'), 'kept');
  mkdirSync(join(tree, 'was-dir/below'), { recursive: true });
  writeFileSync(join(tree, 'was-file'), 'x');
  symlinkSync('was-file', join(tree, 'was-link'));
  const layer = makeTar([
    { name: 'dir/', type: 'directory', mode: 0o700, mtime: 7_000_000_000n },
    { name: 'was-dir', data: 'file now' },
    { name: 'was-file/', type: 'directory' },
    { name: 'was-file/inside', data: 'x' },
    { name: 'was-link', data: 'file now' },
    { name: 'twice', data: 'one' },
    { name: 'twice', data: 'two' },
  ]);
  await unpack(layer, here, tree, 'tree');
  assert.equal(readFileSync(join(tree, 'dir/kept'), 'utf8'), 'kept');
  const dir = lstatSync(join(tree, 'dir'));
  assert.deepEqual([dir.mode & 0o7777, dir.mtimeMs], [0o700, 7000]);
  assert.equal(readFileSync(join(tree, 'was-dir'), 'utf8'), 'file now');
  assert.equal(readFileSync(join(tree, 'was-link'), 'utf8'), 'file now');
  assert.equal(readFileSync(join(tree, 'twice'), 'utf8'), 'two');
  assert.ok(lstatSync(join(tree, 'was-file/inside')).isFile());
});

test('nothing is written outside the directory, whatever the archive says', async () => {
  for (const form of ['overlay', 'tree'] as const) {
    using here = await openPlace();
    const outside = here.dir('outside');
    writeFileSync(join(outside, 'victim'), 'untouched');
    const before = describeTree(outside);
    const out = here.dir('root/inner');
    const layer = makeTar([
      { name: '../../outside/dots', data: 'x' },
      { name: '/outside/absolute', data: 'x' },
      { name: 'a/../../../outside/more-dots', data: 'x' },
      { name: 'link', type: 'symlink', linkName: outside },
      { name: 'link/through', data: 'x' },
      { name: 'relative', type: 'symlink', linkName: `../../../../../../../../..${outside}` },
      { name: 'relative/through', data: 'x' },
      { name: 'last', type: 'symlink', linkName: join(outside, 'victim') },
      { name: 'last', data: 'replaces the link' },
      { name: 'point', type: 'symlink', linkName: join(outside, 'victim') },
      { name: 'hard', type: 'hardlink', linkName: 'point' },
      { name: 'dirlink', type: 'symlink', linkName: outside },
      { name: 'dirlink/', type: 'directory', mode: 0o777, uid: 5 },
      { name: 'link/.wh.victim' },
      { name: 'link/.wh..wh..opq' },
      {
        name: 'steered/',
        type: 'directory',
        xattrs: new Map([['trusted.overlay.redirect', '/etc']]),
      },
    ]);
    await unpack(layer, here, out, form);
    assert.deepEqual(describeTree(outside), before);
    assert.deepEqual(readdirSync(here.path).sort(), ['content', 'outside', 'root']);
    assert.deepEqual(readdirSync(here.dir('root')), ['inner']);
    assert.equal(getXattr(join(out, 'steered'), 'trusted.overlay.redirect'), undefined);
    assert.ok(lstatSync(join(out, 'hard')).isSymbolicLink());
    for (const linkName of ['../../outside/victim', 'link/../../outside/victim', 'nothing', '']) {
      await assert.rejects(
        unpack(makeTar([{ name: 'x', type: 'hardlink', linkName }]), here, here.dir('fresh'), form),
        hasCode('invalid_argument'),
        linkName,
      );
    }
    for (const name of ['.wh.', '.wh..', '.wh...', 'a/.wh..']) {
      await assert.rejects(
        unpack(makeTar([{ name }]), here, here.dir('fresh'), form),
        hasCode('invalid_argument'),
      );
    }
    assert.equal(readFileSync(join(outside, 'victim'), 'utf8'), 'untouched');
  }
});

test('links that lead in a circle and parents that are files are errors, not loops', async () => {
  using here = await openPlace();
  const circle = makeTar([
    { name: 'a', type: 'symlink', linkName: 'b' },
    { name: 'b', type: 'symlink', linkName: 'a' },
    { name: 'a/x', data: 'x' },
  ]);
  await assert.rejects(unpack(circle, here, here.dir('out'), 'tree'), hasCode('invalid_argument'));
  const below = makeTar([
    { name: 'file', data: 'x' },
    { name: 'file/x', data: 'x' },
  ]);
  await assert.rejects(unpack(below, here, here.dir('out2'), 'tree'), hasCode('invalid_argument'));
});

test('sparse members of every format are expanded, with holes on disk', async () => {
  using here = await openPlace();
  const original = join(here.path, 'holes');
  const file = openSync(original, 'w');
  for (let at = 0; at < 40; at++) writeSync(file, `piece ${at}`, at << 20);
  ftruncateSync(file, 50 << 20);
  closeSync(file);
  for (const flags of [
    ['--format=gnu'],
    ...['0.0', '0.1', '1.0'].map((version) => ['--format=pax', `--sparse-version=${version}`]),
  ]) {
    const tar = execFileSync('tar', ['c', '--sparse', ...flags, '-C', here.path, 'holes']);
    assert.ok(tar.length < 1 << 20, `${flags} made ${tar.length} bytes`);
    const dir = here.dir(`out-${flags}`);
    await unpack(tar, here, dir, 'tree');
    const { size, blocks } = lstatSync(join(dir, 'holes'));
    assert.equal(size, 50 << 20);
    assert.ok(blocks * 512 < 1 << 20, `it takes ${blocks} blocks`);
    assert.ok(readFileSync(join(dir, 'holes')).equals(readFileSync(original)), `${flags}`);
  }
});

test("a deletion may carry data, which is nobody's", async () => {
  using here = await openPlace();
  const tar = makeTar([
    { name: '.wh.gone', data: 'data' },
    { name: '.wh..wh.plnk/1', data: 'data' },
    { name: '.wh..wh..opq', data: 'data' },
    { name: 'f', data: 'x' },
  ]);
  for (const form of ['tree', 'overlay'] as const) {
    const dir = here.dir(form);
    writeFileSync(join(dir, 'gone'), '');
    await unpack(tar, here, dir, form);
    assert.equal(readFileSync(join(dir, 'f'), 'utf8'), 'x');
  }
  assert.deepEqual(readdirSync(join(here.path, 'tree')).includes('gone'), false);
});
