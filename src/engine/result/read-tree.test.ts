import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { makeDevice, mknod } from '../../linux/mknod.ts';
import { readTreeDir, readTreeFile, statTree } from './read-tree.ts';

let root: string;

before(() => {
  root = mkdtempSync(path.join(tmpdir(), 'kiln-read-tree-'));
  mkdirSync(path.join(root, 'dir'));
  chmodSync(path.join(root, 'dir'), 0o1755);
  writeFileSync(path.join(root, 'dir/file'), '0123456789');
  chmodSync(path.join(root, 'dir/file'), 0o4750);
  symlinkSync('/dir/file', path.join(root, 'link'));
  symlinkSync('/etc/hostname', path.join(root, 'outside'));
  mknod(path.join(root, 'disk'), 0o060000 | 0o600, makeDevice(259, 300));
});

after(() => rmSync(root, { recursive: true, force: true }));

test("stats have Go's mode bits, and a device's numbers", async () => {
  assert.equal((await statTree({ path: root }, '/dir')).mode, 0x8000_0000 + 0x0010_0000 + 0o755);
  assert.equal((await statTree({ path: root }, '/dir/file')).mode, 0x0080_0000 + 0o750);
  const link = await statTree({ path: root }, '/link');
  assert.deepEqual([link.mode, link.linkname], [0x0800_0000 + 0o777, '/dir/file']);
  const disk = await statTree({ path: root }, '/disk');
  assert.deepEqual([disk.mode, disk.devmajor, disk.devminor], [0x0400_0000 + 0o600, 259n, 300n]);
});

test('directories list what matches, sorted; a part of a file can be read', async () => {
  const names = (await readTreeDir({ path: root }, '/', '*i*')).map((entry) => entry.path);
  assert.deepEqual(names, ['dir', 'disk', 'link', 'outside']);
  const read = async (range?: { offset: number; length: number }) =>
    Buffer.from(await readTreeFile({ path: root }, '/link', range)).toString();
  assert.equal(await read(), '0123456789');
  assert.equal(await read({ offset: 8, length: 5 }), '89');
  for (const range of [
    { offset: -5, length: 3 },
    { offset: -1, length: 0 },
    { offset: 0, length: -3 },
  ]) {
    await assert.rejects(read(range), { code: 'invalid_argument', message: /cannot be read from -?\d on/ });
  }
});

test('links lead nowhere outside the tree, and errors name what was asked for', async () => {
  await assert.rejects(readTreeFile({ path: root }, '/outside'), {
    code: 'not_found',
    message: /^\/outside: /,
  });
  await assert.rejects(readTreeFile({ path: root }, '/dir'), { code: 'invalid_argument' });
  await assert.rejects(readTreeFile({ path: root }, '/dir\0'), {
    code: 'invalid_argument',
    message: /^"\/dir.* has a NUL/,
  });
  await assert.rejects(readTreeDir({ path: root }, '/dir/file'), { code: 'failed_precondition' });
});

test('a device is not opened', async () => {
  const message = '/disk is not a regular file';
  await assert.rejects(readTreeFile({ path: root }, '/disk'), { code: 'invalid_argument', message });
});

test('no more is read at once than fits into memory many times', async () => {
  const large = path.join(root, 'large');
  writeFileSync(large, '');
  truncateSync(large, 16 * 1024 * 1024 + 1);
  await assert.rejects(readTreeFile({ path: root }, '/large'), {
    code: 'out_of_range',
    message: /16777217 bytes/,
  });
  const end = await readTreeFile({ path: root }, '/large', { offset: 1, length: 0 });
  assert.equal(end.length, 16 * 1024 * 1024);
});
