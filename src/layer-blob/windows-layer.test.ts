import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { layerForm, layerIdentity, withLayerForm } from '../oci/layer-identity.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import {
  DifferRig,
  describeTree,
  diffOptions,
  fillTree,
  makeTar,
  openPlace,
  parseTar,
  plainEntry,
  putBlob,
} from './layer-differ-rig.ts';
import { readPaxRecords } from './tar/pax-records.ts';
import { TarWriter } from './tar/tar-writer.ts';
import { toWindowsEntry } from './windows-layer.ts';

const rig = new DifferRig();
after(() => rig[Symbol.asyncDispose]());
const { differ } = rig;

/** The records of the pax header that comes before an entry, and the mode field of the entry, in octal. */
function written(entry: Parameters<typeof toWindowsEntry>[0]) {
  const chunks: Uint8Array[] = [];
  new TarWriter((chunk) => chunks.push(chunk)).header(toWindowsEntry(entry));
  const bytes = Buffer.concat(chunks);
  const size = Number.parseInt(bytes.toString('latin1', 124, 135), 8);
  const records = readPaxRecords(bytes.toString('latin1', 512, 512 + size), (message) => new Error(message));
  return {
    records: Object.fromEntries(records),
    mode: bytes.toString('latin1', bytes.length - 512 + 100).slice(0, 7),
  };
}

for (const form of ['overlay', 'tree'] as const) {
  test(`a tree comes back whole from its layer for Windows, unpacked as ${form}`, async () => {
    using here = await openPlace();
    const upper = here.dir('upper');
    fillTree(upper);
    const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
    const { descriptor, diffId } = await differ.diff(
      changes,
      here.store,
      diffOptions('gzip', { form: 'windows' }),
    );
    const dir = here.dir(form);
    const applied = await differ.apply(withLayerForm(descriptor, 'windows'), here.store, { dir, form });
    assert.equal(applied.diffId, diffId);
    assert.deepEqual(describeTree(dir), describeTree(upper));
  });
}

test('a layer for Windows begins with its two directories, and has all files in one of them', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
  const names = (await rig.tarOf(changes, here, { form: 'windows' })).map(({ name }) => name);
  const plain = (await rig.tarOf(changes, here)).map(({ name }) => name);
  assert.deepEqual(names, ['Hives', 'Files', ...plain.map((name) => `Files/${name}`)]);
});

test('entries say what Windows wants to know', () => {
  const file = written({ ...plainEntry, name: 'a', type: 'file', mtime: 1_600_000_000_000_000_000n });
  assert.equal(file.mode, '0100644');
  assert.deepEqual(Object.keys(file.records), [
    'LIBARCHIVE.creationtime',
    'MSWINDOWS.fileattr',
    'MSWINDOWS.rawsd',
  ]);
  assert.equal(file.records['LIBARCHIVE.creationtime'], '1600000000.0');
  assert.equal(file.records['MSWINDOWS.fileattr'], '32');
  const directory = written({ ...plainEntry, name: 'd/', type: 'directory', mode: 0o755, mtime: -1n });
  assert.equal(directory.mode, '0040755');
  assert.equal(directory.records['LIBARCHIVE.creationtime'], '-1.999999999');
  assert.equal(directory.records['MSWINDOWS.fileattr'], '16');
  assert.notEqual(directory.records['MSWINDOWS.rawsd'], file.records['MSWINDOWS.rawsd']);
  const link = written({ ...plainEntry, name: 'l', type: 'symlink', linkName: 'a', mode: 0o777 });
  assert.deepEqual(link.records, { 'LIBARCHIVE.creationtime': '0.0' });
});

test('what is not among the files of a layer for Windows is left alone', async () => {
  using here = await openPlace();
  const tar = makeTar([
    { name: 'Hives/System_Delta', data: 'hive' },
    { name: 'Files', type: 'directory' },
    { name: 'Files/../escaped', data: 'x' },
    { name: 'Files/a', data: 'a' },
    { name: 'Files/b', type: 'hardlink', linkName: 'Files/a' },
    { name: 'Filesystem/c', data: 'c' },
    { name: 'UtilityVM/Files/d', data: 'd' },
  ]);
  const dir = here.dir('out');
  const blob = withLayerForm(await putBlob(here.store, tar), 'windows');
  await differ.apply(blob, here.store, { dir, form: 'tree' });
  assert.deepEqual(Object.keys(describeTree(dir)).sort(), ['a', 'b', 'escaped']);
  assert.equal(parseTar(tar).length, 7);
});

test('a layer that does not begin as layers for Windows do is unpacked as it is', async () => {
  using here = await openPlace();
  const tar = makeTar([
    { name: 'osversion', data: '1' },
    { name: 'Files/a', data: 'a' },
  ]);
  const dir = here.dir('out');
  const blob = withLayerForm(await putBlob(here.store, tar), 'windows');
  await differ.apply(blob, here.store, { dir, form: 'tree' });
  assert.deepEqual(Object.keys(describeTree(dir)).sort(), ['Files', 'Files/a', 'osversion']);
});

test('how a layer is laid out is part of what it is, and comes from nobody outside', async () => {
  using here = await openPlace();
  const layer = await putBlob(here.store, makeTar([{ name: 'Files/a', data: 'a' }]));
  const windows = withLayerForm(layer, 'windows');
  assert.notEqual(layerIdentity(windows), layerIdentity(layer));
  assert.equal(layerIdentity(withLayerForm(windows, 'unix')), layerIdentity(layer));
  assert.equal(layerForm(withLayerForm(windows, 'unix')), 'unix');
  assert.equal(withLayerForm(layer, 'unix'), layer);
});
