import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf } from '../base/digest.ts';
import { type ErrorCode, KilnError } from '../base/errors.ts';
import { toSystemPath } from '../base/text/byte-string.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { type ContentStore, writeBlob } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { unmount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { type Compression, type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import { makeWhiteout } from '../tree/overlay-marks.ts';
import type { DiffOptions } from './differ.ts';
import { createLayerDiffer } from './layer-differ.ts';
import type { TarEntry } from './tar/tar-entry.ts';
import { TarParser } from './tar/tar-parser.ts';
import { TarWriter } from './tar/tar-writer.ts';

const pool = new ThreadPool({ size: 3 });
const differ = createLayerDiffer({ pool });
after(() => pool[Symbol.asyncDispose]());

const hasCode = (code: ErrorCode) => (error: unknown) => error instanceof KilnError && error.code === code;

interface Place extends Disposable {
  readonly path: string;
  readonly store: ContentStore;
  dir(name: string): string;
}

async function place(): Promise<Place> {
  const path = mkdtempSync(join(tmpdir(), 'kiln-differ-'));
  const store = await openLocalContentStore(join(path, 'content'));
  return {
    path,
    store,
    dir(name) {
      const dir = join(path, name);
      mkdirSync(dir, { recursive: true });
      return dir;
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

function options(compression: Compression = 'uncompressed', more: Partial<DiffOptions> = {}): DiffOptions {
  return { compression, mediaTypes: 'oci', ...more };
}

/** Everything that a layer carries of a tree, by path. */
function describe(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  const links = new Map<bigint, string>();
  const walk = (directory: string, prefix: string) => {
    for (const name of readdirSync(toSystemPath(directory), 'latin1').sort()) {
      const path = `${directory}/${name}`;
      const file = toSystemPath(path);
      const stats = lstatSync(file, { bigint: true });
      const xattrs = listXattrs(file)
        .sort()
        .map((key) => `${key}=${getXattr(file, key)?.toString('hex')}`);
      let content = '';
      if (stats.isFile())
        content = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);
      if (stats.isSymbolicLink()) content = readlinkSync(file, 'latin1');
      if (stats.isCharacterDevice() || stats.isBlockDevice()) content = `dev ${stats.rdev}`;
      const first = stats.isDirectory() ? undefined : links.get(stats.ino);
      links.set(stats.ino, first ?? prefix + name);
      found[prefix + name] = [
        stats.mode.toString(8),
        `${stats.uid}:${stats.gid}`,
        stats.isDirectory() ? '' : stats.size,
        stats.mtimeNs,
        content,
        first ? `= ${first}` : '',
        ...xattrs,
      ].join(' ');
      if (stats.isDirectory()) walk(path, `${prefix}${name}/`);
    }
  };
  walk(dir, '');
  return found;
}

/** A tree with every kind of entry. Times are whole seconds, as layers keep them. */
function fillTree(dir: string): void {
  const at = (name: string) => join(dir, name);
  mkdirSync(at('dir/sub'), { recursive: true });
  writeFileSync(at('dir/file'), 'content');
  writeFileSync(at('dir/empty'), '');
  writeFileSync(at('dir/block'), Buffer.alloc(512, 'x'));
  writeFileSync(at('dir/large'), Buffer.alloc(3_000_001, 'some text, '));
  writeFileSync(at('dir/random'), randomBytes(700_000));
  writeFileSync(at('sparse'), '');
  truncateSync(at('sparse'), 1_000_000);
  symlinkSync('dir/file', at('link'));
  symlinkSync('../'.repeat(60), at('long-link'));
  symlinkSync('/nowhere/at/all', at('broken'));
  linkSync(at('dir/file'), at('dir/sub/same'));
  linkSync(at('dir/file'), at('also-same'));
  mknod(at('fifo'), 0o010644);
  mknod(at('char'), 0o020600, makeDevice(5, 300));
  mknod(at('blockdev'), 0o060640, makeDevice(259, 70000));
  mkdirSync(at('d'.repeat(90)));
  writeFileSync(at(`${'d'.repeat(90)}/${'f'.repeat(90)}`), 'split');
  writeFileSync(at('n'.repeat(150)), 'too long to split');
  mkdirSync(at(`x/${'y'.repeat(200)}/${'z'.repeat(200)}`), { recursive: true });
  writeFileSync(at('ünïcode'), 'utf-8');
  writeFileSync(toSystemPath(`${dir}/bytes\xff\xfe`), 'no utf-8');
  writeFileSync(toSystemPath(`${dir}/new\nline`), 'line');
  writeFileSync(at('capable'), 'x');
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  setXattr(at('capable'), 'security.capability', capability);
  setXattr(at('capable'), 'user.note', Buffer.from([0, 1, 0xff, 0x0a, 0x3d]));
  setXattr(at('dir'), 'user.dir', Buffer.from('yes'));
  writeFileSync(at('setuid'), 'x');
  chownSync(at('setuid'), 1234, 65534);
  chmodSync(at('setuid'), 0o4755);
  writeFileSync(at('big-owner'), 'x');
  chownSync(at('big-owner'), 3_000_000, 2_097_152);
  mkdirSync(at('sticky'));
  chmodSync(at('sticky'), 0o3777);
  writeFileSync(at('none'), 'x');
  chmodSync(at('none'), 0);
  const settle = (directory: string) => {
    let time = 1_600_000_000n;
    for (const name of readdirSync(toSystemPath(directory), 'latin1').sort()) {
      const path = `${directory}/${name}`;
      if (lstatSync(toSystemPath(path)).isDirectory()) settle(path);
      utimens(toSystemPath(path), 0n, time++ * 1_000_000_000n);
    }
  };
  settle(dir);
  utimens(at('fifo'), 0n, -5_000_000_000n);
}

function parseTar(tar: Uint8Array): (TarEntry & { readonly data: string })[] {
  const entries: (TarEntry & { data: string })[] = [];
  const parser = new TarParser({
    entry: (entry) => entries.push({ ...entry, data: '' }),
    data: (chunk) => {
      entries.at(-1)!.data += Buffer.from(chunk).toString('latin1');
    },
    hole: (size) => {
      entries.at(-1)!.data += '\0'.repeat(size);
    },
    entryEnd: () => {},
  });
  parser.write(tar);
  parser.finish();
  return entries;
}

async function tarOf(changes: SnapshotChanges, { store }: Place, more: Partial<DiffOptions> = {}) {
  const { descriptor } = await differ.diff(changes, store, options('uncompressed', more));
  return parseTar(await store.readAll(descriptor.digest));
}

const base = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0n,
  linkName: '',
  deviceMajor: 0,
  deviceMinor: 0,
};

/** A tar of these entries, compressed with gzip. */
function makeTar(entries: readonly (Partial<TarEntry> & { name: string; data?: string })[]): Buffer {
  const chunks: Uint8Array[] = [];
  const writer = new TarWriter((chunk) => chunks.push(chunk));
  for (const { data = '', ...entry } of entries) {
    writer.header({ ...base, type: 'file', ...entry, size: data.length });
    chunks.push(Buffer.from(data, 'latin1'));
    writer.pad(data.length);
  }
  writer.end();
  return Buffer.concat(chunks);
}

async function putBlob(store: ContentStore, data: Uint8Array): Promise<Descriptor> {
  return { mediaType: mediaTypes.ociLayerGzip, ...(await writeBlob(store, data)) };
}

async function unpack(
  tar: Uint8Array,
  { store }: Place,
  dir: string,
  form: 'overlay' | 'tree',
): Promise<void> {
  await differ.apply(await putBlob(store, tar), store, { dir, form });
}

for (const compression of ['uncompressed', 'gzip', 'zstd'] as const) {
  test(`a tree comes back whole from its ${compression} layer`, async () => {
    using here = await place();
    const upper = here.dir('upper');
    fillTree(upper);
    const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
    const { descriptor, diffId } = await differ.diff(changes, here.store, options(compression));
    assert.equal(descriptor.digest, digestOf(await here.store.readAll(descriptor.digest)));
    for (const form of ['overlay', 'tree'] as const) {
      const dir = here.dir(form);
      const applied = await differ.apply(descriptor, here.store, { dir, form });
      assert.equal(applied.diffId, diffId);
      assert.deepEqual(describe(dir), describe(upper));
    }
  });
}

test('equal changes give equal bytes whatever the number of threads, from overlays and from whole trees', async () => {
  using here = await place();
  const upper = here.dir('upper');
  fillTree(upper);
  const found = new Set<string>();
  for (const size of [1, 2, 5]) {
    await using own = new ThreadPool({ size });
    for (const changes of [
      { kind: 'overlay', dir: upper, lowerDirs: [] },
      { kind: 'trees', upper },
    ] as const) {
      const made = await createLayerDiffer({ pool: own }).diff(changes, here.store, options('gzip'));
      found.add(`${made.diffId} ${made.descriptor.digest}`);
    }
  }
  assert.equal(found.size, 1);
});

test('more layers at once than there are threads all get done', async () => {
  using here = await place();
  const dirs = Array.from({ length: 8 }, (_, index) => {
    const dir = here.dir(`upper${index}`);
    writeFileSync(join(dir, 'file'), Buffer.alloc(12_000_000, `text of ${index}, `));
    return dir;
  });
  const made = await Promise.all(
    dirs.map((dir) => differ.diff({ kind: 'overlay', dir, lowerDirs: [] }, here.store, options('gzip'))),
  );
  assert.equal(new Set(made.map((item) => item.diffId)).size, 8);
});

test('GNU tar and gzip read what is written, as one gzip member', async () => {
  using here = await place();
  const upper = here.dir('upper');
  fillTree(upper);
  const { descriptor } = await differ.diff(
    { kind: 'overlay', dir: upper, lowerDirs: [] },
    here.store,
    options('gzip'),
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
  assert.deepEqual(describe(extracted), describe(upper));
});

test('what GNU tar writes is unpacked the same, in each of its formats', async () => {
  using here = await place();
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
    assert.deepEqual(describe(extracted), describe(expected));
  }
  assert.match(describe(here.dir('extracted-pax')).none!, /1600000000123456789/);
});

test('blobs are decompressed as their bytes say, whatever their media type', async () => {
  using here = await place();
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
  using here = await place();
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

test('an overlay layer lists changes, deletions and the directories on the way, sorted', async () => {
  using here = await place();
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
  assert.deepEqual(entries[0], { ...base, name: '.wh.gone', type: 'file', mode: 0, data: '' });
});

test('whole trees give the same layer as the overlay that makes one of the other', async () => {
  using here = await place();
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
    const { descriptor } = await differ.diff(changes, here.store, options('gzip'));
    await differ.apply(descriptor, here.store, { dir: applied, form: 'tree' });
  }
  const strip = (tree: Record<string, string>) => Object.keys(tree).sort();
  assert.deepEqual(strip(describe(applied)), strip(describe(copy)));
});

test('names of one file become hard links, unchanged ones too once another name is written', async () => {
  using here = await place();
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
  using here = await place();
  const upper = here.dir('upper');
  fillTree(upper);
  const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
  const epoch = 1_600_000_004;
  const clamped = await tarOf(changes, here, { epoch });
  const times = new Set(clamped.map((entry) => Number(entry.mtime / 1_000_000_000n)));
  assert.equal(Math.max(...times), epoch);
  assert.ok(times.has(epoch - 1));
  const whole = await differ.diff(changes, here.store, options('gzip'));
  const direct = await differ.diff(changes, here.store, options('gzip', { epoch }));
  const converted = await differ.convert(whole.descriptor, here.store, options('gzip', { epoch }));
  assert.deepEqual(converted, direct);
});

test('conversion changes the compression and nothing else', async () => {
  using here = await place();
  const upper = here.dir('upper');
  fillTree(upper);
  const made = new Map<Compression, Awaited<ReturnType<typeof differ.diff>>>();
  for (const compression of ['uncompressed', 'gzip', 'zstd'] as const) {
    const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
    made.set(compression, await differ.diff(changes, here.store, options(compression)));
  }
  for (const source of made.values()) {
    for (const [compression, expected] of made) {
      const converted = await differ.convert(source.descriptor, here.store, options(compression));
      assert.deepEqual(converted, expected);
    }
  }
});

test('media types follow the compression and the family', async () => {
  using here = await place();
  const changes: SnapshotChanges = { kind: 'overlay', dir: here.dir('upper'), lowerDirs: [] };
  const found = [];
  for (const compression of ['uncompressed', 'gzip', 'zstd'] as const) {
    for (const family of ['oci', 'docker'] as const) {
      const chosen = options(compression, { mediaTypes: family });
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
  using here = await place();
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
    const made = await differ.diff({ kind: 'overlay', dir, lowerDirs: [] }, here.store, options('gzip'));
    const tar = gunzipSync(await here.store.readAll(made.descriptor.digest));
    return { blob: made.descriptor.size, reference: gzipSync(tar, { level: 6 }).length, tar: tar.length };
  };
  const ofRandom = await sizeOf(random);
  assert.ok(ofRandom.blob < ofRandom.tar * 1.0005);
  const ofText = await sizeOf(text);
  assert.ok(ofText.blob < ofText.reference * 1.02, JSON.stringify(ofText));
});

test('a compression level out of range is refused', async () => {
  using here = await place();
  const changes: SnapshotChanges = { kind: 'overlay', dir: here.dir('upper'), lowerDirs: [] };
  for (const [compression, level] of [
    ['gzip', 10],
    ['zstd', 0],
    ['gzip', 1.5],
  ] as const) {
    await assert.rejects(
      differ.diff(changes, here.store, options(compression, { level })),
      hasCode('invalid_argument'),
    );
  }
});

test('an aborted diff leaves no temporary file, an aborted unpacking stops', async () => {
  using here = await place();
  const upper = here.dir('upper');
  writeFileSync(join(upper, 'file'), randomBytes(40_000_000));
  const changes: SnapshotChanges = { kind: 'overlay', dir: upper, lowerDirs: [] };
  const abort = new AbortController();
  const diff = differ.diff(changes, here.store, options('gzip', { level: 9, signal: abort.signal }));
  while (readdirSync(here.store.temporaryDirectory).length === 0) await new Promise(setImmediate);
  abort.abort();
  await assert.rejects(diff, hasCode('canceled'));
  assert.deepEqual(readdirSync(here.store.temporaryDirectory), []);
  const { descriptor } = await differ.diff(changes, here.store, options('gzip'));
  await assert.rejects(
    differ.apply(descriptor, here.store, { dir: here.dir('out'), form: 'tree' }, AbortSignal.abort()),
    hasCode('canceled'),
  );
});

test('whiteouts delete in a tree and become marks in an overlay', async () => {
  using here = await place();
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
  assert.deepEqual(Object.keys(describe(tree)), [
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
  const marks = Object.entries(describe(overlay)).map(([path, text]) =>
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
  using here = await place();
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
    below: [here.dir('nothing'), below],
  });
  const merged = here.dir('merged');
  mountOverlay({ lowerDirs: [own, below] }, merged);
  try {
    assert.deepEqual(withoutTimes(describe(merged)), withoutTimes(describe(tree)));
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
  using here = await place();
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
  await differ.apply(blob, here.store, { dir: own, form: 'overlay', below: [below] });
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
  using here = await place();
  const outside = here.dir('outside');
  makeWhiteout(join(outside, 'gone'));
  const own = here.dir('own');
  const layer = makeTar([
    { name: 'link/.wh.gone' },
    { name: 'link', type: 'symlink', linkName: outside },
    { name: 'file/.wh.gone' },
    { name: 'file', data: 'x' },
  ]);
  const target = { dir: own, form: 'overlay', below: [here.dir('below')] } as const;
  await differ.apply(await putBlob(here.store, layer), here.store, target);
  assert.equal(readFileSync(join(own, 'file'), 'utf8'), 'x');
  assert.deepEqual(readdirSync(outside), ['gone']);
});

test('a hard link cannot take the place of the directory that its file lies in', async () => {
  for (const form of ['overlay', 'tree'] as const) {
    using here = await place();
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
  using here = await place();
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
    using here = await place();
    const outside = here.dir('outside');
    writeFileSync(join(outside, 'victim'), 'untouched');
    const before = describe(outside);
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
    assert.deepEqual(describe(outside), before);
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
  using here = await place();
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
  using here = await place();
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

test('conversion to an epoch writes a sparse member out', async () => {
  using here = await place();
  writeFileSync(join(here.path, 'holes'), '');
  truncateSync(join(here.path, 'holes'), 3_000_000);
  const tar = execFileSync('tar', ['c', '--sparse', '--format=pax', '-C', here.path, 'holes']);
  const blob = await putBlob(here.store, tar);
  const converted = await differ.convert(blob, here.store, options('uncompressed', { epoch: 1 }));
  const [entry] = parseTar(await here.store.readAll(converted.descriptor.digest));
  assert.deepEqual([entry?.name, entry?.size, entry?.mtime], ['holes', 3_000_000, 1_000_000_000n]);
  assert.equal(entry?.data, '\0'.repeat(3_000_000));
});

test("a deletion may carry data, which is nobody's", async () => {
  using here = await place();
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

test('an attribute that would be read as another is refused by name', async () => {
  using here = await place();
  const upper = here.dir('upper');
  writeFileSync(join(upper, 'f'), '');
  setXattr(join(upper, 'f'), 'user.a=b', Buffer.from('x'));
  await assert.rejects(tarOf({ kind: 'overlay', dir: upper, lowerDirs: [] }, here), {
    code: 'invalid_argument',
    message: /"user\.a=b" of \/f has a = in its name/,
  });
});
