import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf } from '../base/digest.ts';
import type { ErrorCode } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { utimens } from '../linux/utimens.ts';
import { setXattr } from '../linux/xattr.ts';
import type { Compression } from '../oci/descriptor.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import { createLayerDiffer } from './layer-differ.ts';
import {
  DifferRig,
  describeTree,
  diffOptions,
  fillTree,
  hasCode,
  makeTar,
  openPlace,
  parseTar,
  putBlob,
} from './layer-differ-rig.ts';

const rig = new DifferRig();
after(() => rig[Symbol.asyncDispose]());
const { differ } = rig;
const tarOf = rig.tarOf.bind(rig);
const unpack = rig.unpack.bind(rig);

for (const compression of ['uncompressed', 'gzip', 'zstd', 'estargz'] as const) {
  test(`a tree comes back whole from its ${compression} layer`, async () => {
    using here = await openPlace();
    const upper = here.dir('upper');
    fillTree(upper);
    const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
    const { descriptor, diffId } = await differ.diff(changes, here.store, diffOptions(compression));
    assert.equal(descriptor.digest, digestOf(await here.store.readAll(descriptor.digest)));
    for (const form of ['overlay', 'tree'] as const) {
      const dir = here.dir(form);
      const applied = await differ.apply(descriptor, here.store, { dir, form });
      assert.equal(applied.diffId, diffId);
      assert.deepEqual(describeTree(dir), describeTree(upper));
    }
  });
}

test('equal changes give equal bytes whatever the number of threads, from overlays and from whole trees', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  const found = new Set<string>();
  for (const size of [1, 2, 5]) {
    await using own = new ThreadPool({ size });
    for (const changes of [
      { kind: 'overlay', dir: upper, lowerDirs: [] },
      { kind: 'trees', upper },
    ] as const) {
      const made = await createLayerDiffer({ pool: own }).diff(changes, here.store, diffOptions('gzip'));
      found.add(`${made.diffId} ${made.descriptor.digest}`);
    }
  }
  assert.equal(found.size, 1);
});

test('more layers at once than there are threads all get done', async () => {
  using here = await openPlace();
  const dirs = Array.from({ length: 8 }, (_, index) => {
    const dir = here.dir(`upper${index}`);
    writeFileSync(join(dir, 'file'), Buffer.alloc(12_000_000, `text of ${index}, `));
    return dir;
  });
  const made = await Promise.all(
    dirs.map((dir) => differ.diff({ kind: 'overlay', dir, lowerDirs: [] }, here.store, diffOptions('gzip'))),
  );
  assert.equal(new Set(made.map((item) => item.diffId)).size, 8);
});

test('GNU tar and gzip read what is written, as one gzip member', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  const { descriptor } = await differ.diff(
    { kind: 'overlay', dir: upper, lowerDirs: [] },
    here.store,
    diffOptions('gzip'),
  );
  const path = here.store.localPath(descriptor.digest)!;
  const gzip = readFileSync(path);
  execFileSync('gzip', ['-t'], { input: gzip });
  const listing = execFileSync('tar', ['tvzf', path, '--quoting-style=literal'], { encoding: 'latin1' });
  assert.match(listing, /-rwsr-xr-x 1234\/65534 +1 2020-09-13 .* setuid/);
  assert.match(listing, /hrw-r--r-- .* dir\/file link to also-same/);
  assert.match(listing, /crw------- 0\/0 +5,300 .* char/);
  assert.match(listing, /bytes\xff\xfe/);
  const extracted = here.dir('extracted');
  execFileSync('tar', ['xpzf', path, '-C', extracted, '--numeric-owner', '--xattrs', '--xattrs-include=*']);
  assert.deepEqual(describeTree(extracted), describeTree(upper));
});

test('what GNU tar writes is unpacked the same, in each of its formats', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  utimens(join(upper, 'none'), 0n, 1_600_000_000_123_456_789n);
  for (const [format, extra] of [
    ['pax', ['--xattrs', '--xattrs-include=*', '--numeric-owner']],
    ['gnu', ['--numeric-owner']],
  ] as const) {
    const tar = join(here.path, `${format}.tar`);
    execFileSync('tar', ['cf', tar, `--format=${format}`, ...extra, '-C', upper, '.']);
    const extracted = here.dir(`extracted-${format}`);
    await unpack(readFileSync(tar), here, extracted, 'tree');
    const expected = here.dir(`expected-${format}`);
    execFileSync('tar', ['xpf', tar, '-C', expected, '--xattrs', '--xattrs-include=*', '--numeric-owner']);
    assert.deepEqual(describeTree(extracted), describeTree(expected));
  }
  assert.match(describeTree(here.dir('extracted-pax')).none!, /1600000000123456789/);
});

test('blobs are decompressed as their bytes say, whatever their media type', async () => {
  using here = await openPlace();
  const tar = makeTar([
    { name: 'a', data: 'first' },
    { name: 'b', data: 'x'.repeat(5_000_000) },
  ]);
  const third = Math.floor(tar.length / 3);
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const parts = [tar.subarray(0, third), tar.subarray(third, 2 * third), tar.subarray(2 * third)];
  const forms = {
    plain: tar,
    gzip: gzipSync(tar),
    'gzip members': Buffer.concat(parts.map((part) => gzipSync(part))),
    zstd: zstdCompressSync(tar),
    'zstd frames': Buffer.concat([skipped, ...parts.flatMap((part) => [zstdCompressSync(part), skipped])]),
  };
  for (const [name, data] of Object.entries(forms)) {
    const dir = here.dir(name);
    const applied = await differ.apply(await putBlob(here.store, data), here.store, { dir, form: 'overlay' });
    assert.deepEqual(applied, { diffId: digestOf(tar), size: tar.length }, name);
    assert.equal(readFileSync(join(dir, 'a'), 'utf8'), 'first');
    assert.equal(lstatSync(join(dir, 'b')).size, 5_000_000);
  }
});

test('a damaged blob is data_loss, a damaged tar is invalid_argument', async () => {
  using here = await openPlace();
  const tar = makeTar([{ name: 'a', data: 'x'.repeat(100_000) }]);
  const random = makeTar([{ name: 'a', data: randomBytes(100_000).toString('latin1') }]);
  const flipped = Buffer.from(tar);
  flipped[3] = 1;
  const cases: readonly (readonly [Buffer, ErrorCode])[] = [
    [gzipSync(tar).subarray(0, 100), 'data_loss'],
    [zstdCompressSync(random).subarray(0, 50_000), 'data_loss'],
    [tar.subarray(0, 5000), 'invalid_argument'],
    [flipped, 'invalid_argument'],
    [Buffer.from('this is no tar archive at all'.padEnd(600)), 'invalid_argument'],
  ];
  for (const [data, code] of cases) {
    await assert.rejects(unpack(data, here, here.dir('out'), 'tree'), hasCode(code), code);
  }
});

test('conversion changes the compression and nothing else', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  const made = new Map<Compression, Awaited<ReturnType<typeof differ.diff>>>();
  for (const compression of ['uncompressed', 'gzip', 'zstd'] as const) {
    const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
    made.set(compression, await differ.diff(changes, here.store, diffOptions(compression)));
  }
  for (const source of made.values()) {
    for (const [compression, expected] of made) {
      const converted = await differ.convert(source.descriptor, here.store, diffOptions(compression));
      assert.deepEqual(converted, expected);
    }
  }
});

test('media types follow the compression and the family', async () => {
  using here = await openPlace();
  const changes: SnapshotChanges = { kind: 'overlay', dir: here.dir('upper'), lowerDirs: [] };
  const found = [];
  for (const compression of ['uncompressed', 'gzip', 'zstd'] as const) {
    for (const family of ['oci', 'docker'] as const) {
      const chosen = diffOptions(compression, { mediaTypes: family });
      const { descriptor } = await differ.diff(changes, here.store, chosen);
      found.push(descriptor.mediaType);
    }
  }
  assert.deepEqual(found, [
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.docker.image.rootfs.diff.tar',
    'application/vnd.oci.image.layer.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
    'application/vnd.oci.image.layer.v1.tar+zstd',
    'application/vnd.docker.image.rootfs.diff.tar.zstd',
  ]);
});

test('random data is stored almost as it is, text shrinks as with one stream', async () => {
  using here = await openPlace();
  const size = 4_000_000;
  const random = here.dir('random');
  writeFileSync(join(random, 'file'), randomBytes(size));
  const text = here.dir('text');
  const words = Array.from(
    { length: size / 10 },
    (_, index) => `line ${(index * 7919) % 10007} of it\n`,
  ).join('');
  writeFileSync(join(text, 'file'), words);
  const sizeOf = async (dir: string) => {
    const made = await differ.diff({ kind: 'overlay', dir, lowerDirs: [] }, here.store, diffOptions('gzip'));
    const tar = gunzipSync(await here.store.readAll(made.descriptor.digest));
    return { blob: made.descriptor.size, reference: gzipSync(tar, { level: 6 }).length, tar: tar.length };
  };
  const ofRandom = await sizeOf(random);
  assert.ok(ofRandom.blob < ofRandom.tar * 1.0005);
  const ofText = await sizeOf(text);
  assert.ok(ofText.blob < ofText.reference * 1.02, JSON.stringify(ofText));
});

test('a compression level out of range is refused', async () => {
  using here = await openPlace();
  const changes: SnapshotChanges = { kind: 'overlay', dir: here.dir('upper'), lowerDirs: [] };
  for (const [compression, level] of [
    ['gzip', 10],
    ['zstd', 0],
    ['gzip', 1.5],
  ] as const) {
    await assert.rejects(
      differ.diff(changes, here.store, diffOptions(compression, { level })),
      hasCode('invalid_argument'),
    );
  }
});

test('an aborted diff leaves no temporary file, an aborted unpacking stops', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  writeFileSync(join(upper, 'file'), randomBytes(40_000_000));
  const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
  const abort = new AbortController();
  const diff = differ.diff(changes, here.store, diffOptions('gzip', { level: 9, signal: abort.signal }));
  while (readdirSync(here.store.temporaryDirectory).length === 0) await new Promise(setImmediate);
  abort.abort();
  await assert.rejects(diff, hasCode('canceled'));
  assert.deepEqual(readdirSync(here.store.temporaryDirectory), []);
  const { descriptor } = await differ.diff(changes, here.store, diffOptions('gzip'));
  await assert.rejects(
    differ.apply(descriptor, here.store, { dir: here.dir('out'), form: 'tree' }, AbortSignal.abort()),
    hasCode('canceled'),
  );
});

test('conversion to an epoch writes a sparse member out', async () => {
  using here = await openPlace();
  writeFileSync(join(here.path, 'holes'), '');
  truncateSync(join(here.path, 'holes'), 3_000_000);
  const tar = execFileSync('tar', ['c', '--sparse', '--format=pax', '-C', here.path, 'holes']);
  const blob = await putBlob(here.store, tar);
  const converted = await differ.convert(blob, here.store, diffOptions('uncompressed', { epoch: 1 }));
  const [entry] = parseTar(await here.store.readAll(converted.descriptor.digest));
  assert.deepEqual([entry?.name, entry?.size, entry?.mtime], ['holes', 3_000_000, 1_000_000_000n]);
  assert.equal(entry?.data, '\0'.repeat(3_000_000));
});

test('an attribute that would be read as another is refused by name', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  writeFileSync(join(upper, 'f'), '');
  setXattr(join(upper, 'f'), 'user.a=b', Buffer.from('x'));
  await assert.rejects(tarOf({ kind: 'overlay', dir: upper, lowerDirs: [] }, here), {
    code: 'invalid_argument',
    message: /"user\.a=b" of \/f has a = in its name/,
  });
});
