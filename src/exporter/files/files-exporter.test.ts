import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, link, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { parsePlatform } from '../../base/platform.ts';
import type { TarEntry } from '../../layer-blob/tar/tar-entry.ts';
import { TarParser } from '../../layer-blob/tar/tar-parser.ts';
import { utimens } from '../../linux/utimens.ts';
import { setXattr } from '../../linux/xattr.ts';
import { createExportRig, type ExportRig } from '../export-rig.ts';
import { createLocalExporter } from './local-exporter.ts';
import { createTarExporter } from './tar-exporter.ts';
import { treeTar } from './tree-tar.ts';

const run = promisify(execFile);
let rig: ExportRig;
let tree: string;

before(async () => {
  rig = await createExportRig();
  tree = path.join(rig.directory, 'tree');
  await mkdir(path.join(tree, 'bin'), { recursive: true });
  await writeFile(path.join(tree, 'bin/app'), Buffer.alloc(3_000_000, 'app'));
  await chmod(path.join(tree, 'bin/app'), 0o4755);
  await link(path.join(tree, 'bin/app'), path.join(tree, 'bin/same'));
  await symlink('app', path.join(tree, 'bin/link'));
});

after(() => rig[Symbol.asyncDispose]());

const listing = async () => (await run('tar', ['-tvf', rig.outputFile, '--utc'])).stdout.trim().split('\n');

test('a tarball holds the files with modes, links and the time of the epoch', async () => {
  const exporter = createTarExporter(rig).open({ 'source-date-epoch': '1700000000' });
  assert.deepEqual(await exporter.export(rig.input([rig.result(tree)]), rig.context), {});
  const lines = await listing();
  assert.equal(lines.length, 4);
  assert.match(lines[0]!, /^drwxr-xr-x 0\/0 +0 2023-11-14 22:13 bin\/$/);
  assert.match(lines[1]!, /^-rwsr-xr-x 0\/0 +3000000 2023-11-14 22:13 bin\/app$/);
  assert.match(lines[2]!, /^lrwxrwxrwx .* bin\/link -> app$/);
  assert.match(lines[3]!, /^hrwsr-xr-x .* bin\/same link to bin\/app$/);
});

test('the files of several platforms get a directory each', async () => {
  const results = ['linux/amd64', 'linux/arm64'].map((key) =>
    rig.result(key === 'linux/amd64' ? tree : undefined, { key, platform: parsePlatform(key) }),
  );
  await createTarExporter(rig).open({}).export(rig.input(results), rig.context);
  const names = (await listing()).map((line) => line.split(' 00:00 ')[1] ?? line.split(/ \d\d:\d\d /)[1]);
  assert.deepEqual(names, [
    'linux_amd64/',
    'linux_amd64/bin/',
    'linux_amd64/bin/app',
    'linux_amd64/bin/link -> app',
    'linux_amd64/bin/same link to linux_amd64/bin/app',
    'linux_arm64/',
  ]);
});

test('a tarball holds times before 1970 and extended attributes of every kind', async () => {
  const attributed = path.join(rig.directory, 'attributed');
  await mkdir(attributed);
  const times = [
    -1_000_000_000n,
    -1_600_000_000n,
    -1_500_000_000n,
    -500_000_000n,
    1_500_000_000n,
    1_499_999_999n,
  ];
  for (const [index, time] of times.entries()) {
    await writeFile(path.join(attributed, `time${index}`), '');
    utimens(path.join(attributed, `time${index}`), time, time);
  }
  const file = path.join(attributed, 'file');
  await writeFile(file, '');
  const acl = Buffer.from(
    '0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000400ffffffff',
    'hex',
  );
  const xattrs = {
    'security.other': Buffer.from('c'),
    'system.posix_acl_access': acl,
    'trusted.note': Buffer.from('b'),
    'user.none': Buffer.alloc(0),
    'user.note': Buffer.from('a'),
  };
  for (const [name, value] of Object.entries(xattrs)) setXattr(file, name, value);
  await createTarExporter(rig)
    .open({})
    .export(rig.input([rig.result(attributed)]), rig.context);
  const entries: TarEntry[] = [];
  const parser = new TarParser({
    entry: (entry) => entries.push(entry),
    data() {},
    hole() {},
    entryEnd() {},
  });
  parser.write(await readFile(rig.outputFile));
  const [found, ...timed] = entries;
  assert.deepEqual(
    [...(found?.xattrs ?? [])],
    Object.entries(xattrs).map(([name, value]) => [name, value.toString('latin1')]),
  );
  assert.deepEqual(
    timed.map(({ mtime }) => mtime / 1_000_000_000n),
    [-1n, -2n, -1n, 0n, 2n, 1n],
  );
});

test('a platform is in a tarball once, and in a directory too', async () => {
  const result = rig.result(tree, { key: 'linux/amd64' });
  const input = rig.input([result, result]);
  await assert.rejects(createTarExporter(rig).open({}).export(input, rig.context), {
    message: 'duplicate path linux_amd64: file exists',
  });
  await createLocalExporter(rig).open({ 'platform-split': 'true' }).export(input, rig.context);
  assert.deepEqual(
    rig.sentTrees.splice(0).map(({ prefix }) => prefix),
    ['linux_amd64'],
  );
  const others = ['a/b', 'a_b'].map((key) => rig.result(tree, { key }));
  for (const create of [createTarExporter, createLocalExporter]) {
    await assert.rejects(
      create(rig).open({ 'platform-split': 'true' }).export(rig.input(others), rig.context),
      {
        message: 'duplicate path a_b: file exists',
      },
    );
  }
});

test('an empty result is an empty archive', async () => {
  await createTarExporter(rig)
    .open({})
    .export(rig.input([rig.result(undefined)]), rig.context);
  assert.equal((await stat(rig.outputFile)).size, 1024);
});

test('a reader that leaves early stops the thread that writes', async () => {
  const big = path.join(rig.directory, 'big');
  await mkdir(big);
  await writeFile(path.join(big, 'file'), Buffer.alloc(30_000_000));
  let taken = 0;
  for await (const chunk of treeTar([{ prefix: '', path: big }], rig.pool, rig.context.signal)) {
    taken += chunk.length;
    break;
  }
  assert.ok(taken > 0 && taken < 1_000_000);
});

test('platforms that are not split must not have files in common', async () => {
  const other = path.join(rig.directory, 'other');
  await mkdir(path.join(other, 'bin'), { recursive: true });
  const results = [tree, other].map((each, index) => {
    const key = index === 0 ? 'linux/amd64' : 'linux/arm64';
    return rig.result(each, { key, platform: parsePlatform(key) });
  });
  const exportBoth = () =>
    createLocalExporter(rig).open({ 'platform-split': 'false' }).export(rig.input(results), rig.context);
  await exportBoth();
  await writeFile(path.join(other, 'bin/link'), '');
  await assert.rejects(exportBoth(), {
    code: 'invalid_argument',
    message: 'cannot overwrite bin/link from linux/amd64 with linux/arm64 when split option is disabled',
  });
});

test('a directory output sends each platform where it belongs', async () => {
  const input = rig.input([rig.result(tree, { key: 'linux/amd64' })], { 'source.date.epoch': '12' });
  await createLocalExporter(rig).open({}).export(input, rig.context);
  await createLocalExporter(rig)
    .open({ 'platform-split': 'false', mode: 'delete' })
    .export(input, rig.context);
  assert.deepEqual(rig.sentTrees.slice(-2), [
    { name: 'linux/amd64', prefix: 'linux_amd64', path: tree, epoch: 12, added: [], deleteOthers: false },
    { name: 'linux/amd64', prefix: '', path: tree, epoch: 12, added: [], deleteOthers: true },
  ]);
  for (const create of [createLocalExporter, createTarExporter]) {
    assert.throws(() => create(rig).open({ mode: 'move' }), { code: 'invalid_argument' });
    assert.throws(() => create(rig).open({ 'platform-split': 'x' }), { code: 'invalid_argument' });
  }
});
