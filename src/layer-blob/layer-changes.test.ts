import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { setXattr } from '../linux/xattr.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import { DifferRig, describeTree, diffOptions, fillTree, openPlace, plainEntry } from './layer-differ-rig.ts';

const rig = new DifferRig();
after(() => rig[Symbol.asyncDispose]());
const { differ } = rig;
const tarOf = rig.tarOf.bind(rig);

test('an overlay layer lists changes, deletions and the directories on the way, sorted', async () => {
  using here = await openPlace();
  const lower = here.dir('lower');
  const upper = here.dir('upper');
  for (const dir of [lower, upper]) {
    mkdirSync(join(dir, 'same/deep'), { recursive: true });
    mkdirSync(join(dir, 'opaque'));
    mkdirSync(join(dir, 'untouched'));
  }
  writeFileSync(join(lower, 'gone'), 'x');
  writeFileSync(join(lower, 'same/deep/gone'), 'x');
  writeFileSync(join(lower, 'opaque/kept'), 'same');
  writeFileSync(join(lower, 'opaque/old'), 'x');
  mkdirSync(join(lower, 'opaque/olddir/below'), { recursive: true });
  writeFileSync(join(lower, 'copied-up'), 'same');
  writeFileSync(join(lower, 'touched'), 'same');
  mknod(join(upper, 'gone'), 0o020000);
  mknod(join(upper, 'never-there'), 0o020000);
  mknod(join(upper, 'same/deep/gone'), 0o020000);
  writeFileSync(join(upper, 'same.txt'), 'after the directory');
  setXattr(join(upper, 'opaque'), 'trusted.overlay.opaque', Buffer.from('y'));
  setXattr(join(upper, 'untouched'), 'trusted.overlay.origin', Buffer.from('x'));
  writeFileSync(join(upper, 'opaque/kept'), 'same');
  writeFileSync(join(upper, 'opaque/new'), 'new');
  writeFileSync(join(upper, 'copied-up'), 'same');
  writeFileSync(join(upper, 'touched'), 'same');
  mknod(join(upper, 'socket'), 0o140644);
  mkdirSync(join(upper, 'new'));
  for (const dir of [lower, upper]) {
    for (const name of ['copied-up', 'opaque/kept']) utimens(join(dir, name), 0n, 1_000_000_000n);
  }
  utimens(join(upper, 'touched'), 0n, 5_000_000_000n);
  const entries = await tarOf({ kind: 'overlay', dir: upper, lowerDirs: [lower] }, here);
  assert.deepEqual(
    entries.map((entry) => `${entry.type} ${entry.name}`),
    [
      'file .wh.gone',
      'directory new/',
      'directory opaque/',
      'file opaque/new',
      'file opaque/.wh.old',
      'file opaque/.wh.olddir',
      'directory same/',
      'directory same/deep/',
      'file same/deep/.wh.gone',
      'file same.txt',
      'file touched',
    ],
  );
  assert.deepEqual(entries[0], { ...plainEntry, name: '.wh.gone', type: 'file', mode: 0, data: '' });
});

test('whole trees give the same layer as the overlay that makes one of the other', async () => {
  using here = await openPlace();
  const lower = here.dir('lower');
  fillTree(lower);
  const work = here.dir('work');
  const upper = here.dir('upper');
  const merged = here.dir('merged');
  execFileSync('mount', [
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    merged,
  ]);
  const copy = join(here.path, 'copy');
  try {
    rmSync(join(merged, 'dir'), { recursive: true });
    mkdirSync(join(merged, 'dir'));
    writeFileSync(join(merged, 'dir/file'), 'other');
    rmSync(join(merged, 'sparse'));
    mkdirSync(join(merged, 'sparse'));
    writeFileSync(join(merged, 'sparse/inside'), 'x');
    rmSync(join(merged, 'sticky'), { recursive: true });
    symlinkSync('dir', join(merged, 'sticky'));
    chmodSync(join(merged, 'none'), 0o600);
    rmSync(join(merged, 'char'));
    execFileSync('cp', ['-a', merged, copy]);
  } finally {
    execFileSync('umount', [merged]);
  }
  const overlay = await tarOf({ kind: 'overlay', dir: upper, lowerDirs: [lower] }, here);
  const trees = await tarOf({ kind: 'trees', lower, upper: copy }, here);
  assert.deepEqual(trees, overlay);
  assert.deepEqual(
    overlay.map((entry) => entry.name),
    [
      '.wh.char',
      ...['dir/', '.wh.block', '.wh.empty', 'file', '.wh.large', '.wh.random', '.wh.sub'].map(
        (name, index) => (index === 0 ? name : `dir/${name}`),
      ),
      'none',
      'sparse/',
      'sparse/inside',
      'sticky',
    ],
  );
  const applied = here.dir('applied');
  for (const source of [lower, undefined]) {
    const changes: SnapshotChanges = source
      ? { kind: 'trees', upper: source }
      : { kind: 'overlay', dir: upper, lowerDirs: [lower] };
    const { descriptor } = await differ.diff(changes, here.store, diffOptions('gzip'));
    await differ.apply(descriptor, here.store, { dir: applied, form: 'tree' });
  }
  const strip = (tree: Record<string, string>) => Object.keys(tree).sort();
  assert.deepEqual(strip(describeTree(applied)), strip(describeTree(copy)));
});

test('names of one file become hard links, unchanged ones too once another name is written', async () => {
  using here = await openPlace();
  const lower = here.dir('lower');
  const upper = here.dir('upper');
  writeFileSync(join(lower, 'b'), 'x');
  writeFileSync(join(upper, 'b'), 'x');
  linkSync(join(upper, 'b'), join(upper, 'a'));
  linkSync(join(upper, 'b'), join(upper, 'c'));
  writeFileSync(join(lower, 'c'), 'x');
  for (const path of [join(lower, 'b'), join(lower, 'c'), join(upper, 'b')]) utimens(path, 0n, 1n);
  const entries = await tarOf({ kind: 'trees', lower, upper }, here);
  assert.deepEqual(
    entries.map(({ name, type, linkName, data }) => [name, type, linkName, data]),
    [
      ['a', 'file', '', 'x'],
      ['b', 'hardlink', 'a', ''],
      ['c', 'hardlink', 'a', ''],
    ],
  );
});

test('an epoch takes the place of later times, and conversion to it gives the same layer', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
  const epoch = 1_600_000_004;
  const clamped = await tarOf(changes, here, { epoch });
  const times = new Set(clamped.map((entry) => Number(entry.mtime / 1_000_000_000n)));
  assert.equal(Math.max(...times), epoch);
  assert.ok(times.has(epoch - 1));
  const whole = await differ.diff(changes, here.store, diffOptions('gzip'));
  const direct = await differ.diff(changes, here.store, diffOptions('gzip', { epoch }));
  const converted = await differ.convert(whole.descriptor, here.store, diffOptions('gzip', { epoch }));
  assert.deepEqual(converted, direct);
});
