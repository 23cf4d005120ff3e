import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import fs from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import {
  DifferRig,
  describeTree,
  diffOptions,
  fillTree,
  openPlace,
  type Place,
} from '../layer-blob/layer-differ-rig.ts';
import { mount, unmount } from '../linux/mount.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { tocDigestAnnotation } from '../oci/estargz.ts';
import type { LayerBytes, LazyLayer } from './layer-chunks.ts';
import { LazyMounts } from './lazy-mounts.ts';

const rig = new DifferRig();
const readers = new ThreadPool({ size: 4 });
let place: Place;
let mounts: LazyMounts;

beforeEach(async () => {
  place = await openPlace();
  mounts = new LazyMounts();
});
afterEach(async () => {
  await mounts[Symbol.asyncDispose]();
  assert.deepEqual(mountPointsBelow(place.path), []);
  place[Symbol.dispose]();
});
after(async () => {
  await readers[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

interface Blob {
  readonly layer: LazyLayer;
  readonly bytes: Buffer;
}

async function estargzOf(dir: string): Promise<Blob> {
  const { descriptor } = await rig.differ.diff(
    { kind: 'trees', upper: dir },
    place.store,
    diffOptions('estargz'),
  );
  const { digest, size, annotations } = descriptor;
  const tocDigest = annotations![tocDigestAnnotation]! as LazyLayer['tocDigest'];
  return { layer: { digest, size, tocDigest }, bytes: Buffer.from(await place.store.readAll(digest)) };
}

type Range = Parameters<LayerBytes['read']>[0];

/** Reads from memory and counts. */
function counting({ bytes }: Pick<Blob, 'bytes'>) {
  return {
    count: 0,
    fault: undefined as (() => void) | undefined,
    async read({ offset, length }: Range, _signal: AbortSignal): Promise<Uint8Array> {
      this.fault?.();
      this.count += length;
      return bytes.subarray(offset, offset + length);
    },
    async whole(): Promise<string> {
      const file = path.join(place.path, `blob-${readdirSync(place.path).length}`);
      writeFileSync(file, bytes);
      return file;
    },
  };
}

const signal = new AbortController().signal;

async function mountLayer(
  { layer }: Blob,
  source: LayerBytes,
  form: 'tree' | 'overlay' = 'tree',
  below: string[] = [],
) {
  const directory = path.join(place.path, `lazy-${readdirSync(place.path).length}`);
  const target = `${directory}-fs`;
  mkdirSync(target);
  await mounts.prepare(layer, source, { directory, form, below }, signal);
  return { directory, target, mount: await mounts.mount(layer, source, { directory, target }) };
}

const look = (tree: string) =>
  readers.run<unknown, Record<string, string>>(new URL('./testing/look-at-tree.task.ts', import.meta.url), {
    tree,
  });
const readFile = (file: string) =>
  readers.run<unknown, Uint8Array | string>(new URL('./testing/look-at-tree.task.ts', import.meta.url), {
    file,
  });

/** Some bytes of a file, read by a program. */
async function readPart(file: string, offset: number, size: number): Promise<Buffer> {
  const args = [`if=${file}`, 'bs=1', `skip=${offset}`, `count=${size}`, 'status=none'];
  const { stdout } = await promisify(execFile)('dd', args, { encoding: 'buffer' });
  return stdout;
}

async function unpack({ layer }: Blob): Promise<string> {
  const dir = place.dir(`unpacked-${readdirSync(place.path).length}`);
  await rig.differ.apply(
    { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: layer.digest, size: layer.size },
    place.store,
    { dir, form: 'tree' },
  );
  return dir;
}

test('the mount shows what unpacking makes, entry for entry', async () => {
  const dir = place.dir('tree');
  fillTree(dir);
  // A table of contents is JSON, which has no such names.
  rmSync(Buffer.concat([Buffer.from(`${dir}/bytes`), Buffer.from([0xff, 0xfe])]));
  const blob = await estargzOf(dir);
  const source = counting(blob);
  const { target } = await mountLayer(blob, source);
  const expected = describeTree(await unpack(blob));
  assert.ok(Object.keys(expected).length > 20);
  assert.deepEqual(await look(target), expected);
  const after = source.count;
  assert.deepEqual(await look(target), expected);
  assert.equal(source.count, after, 'each chunk is fetched once');
});

test('what has come is there when the layer is mounted again', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, randomBytes(100_000));
  const blob = await estargzOf(dir);
  const source = counting(blob);
  const { directory, target, mount } = await mountLayer(blob, source);
  await readFile(`${target}/file`);
  await mount[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(target), []);
  const before = source.count;
  await mounts.mount(blob.layer, source, { directory, target });
  assert.ok(readFileSync(`${dir}/file`).equals((await readFile(`${target}/file`)) as Uint8Array));
  assert.equal(source.count, before);
});

test('a file of several chunks is read at any place, and nothing can be written', async () => {
  const dir = place.dir('tree');
  const content = randomBytes(9 * 1024 * 1024 + 17);
  writeFileSync(`${dir}/file`, content);
  const blob = await estargzOf(dir);
  const source = counting(blob);
  const { target } = await mountLayer(blob, source);
  const part = await readPart(`${target}/file`, 5 * 1024 * 1024, 10);
  assert.ok(content.subarray(5 * 1024 * 1024, 5 * 1024 * 1024 + 10).equals(part));
  assert.ok(source.count < blob.bytes.length * 0.6, `${source.count} of ${blob.bytes.length} bytes`);
  assert.ok(content.equals((await readFile(`${target}/file`)) as Uint8Array));
  assert.throws(() => writeFileSync(`${target}/new`, ''), { code: 'EROFS' });
  assert.throws(() => unlinkSync(`${target}/file`), { code: 'EROFS' });
});

test('reading one file fetches that file and the table of contents', async () => {
  const dir = place.dir('tree');
  for (let index = 0; index < 30; index++) writeFileSync(path.join(dir, `f${index}`), randomBytes(1 << 20));
  const blob = await estargzOf(dir);
  const source = counting(blob);
  const { target } = await mountLayer(blob, source);
  const all = await Promise.all([1, 2, 3].map(() => readFile(`${target}/f17`)));
  for (const bytes of all) assert.ok(readFileSync(`${dir}/f17`).equals(bytes as Uint8Array));
  assert.ok(source.count < blob.bytes.length / 10, `${source.count} of ${blob.bytes.length} bytes`);
});

test('deletions show in an overlay, and parents that the layer does not name are as below', async () => {
  const lower = place.dir('lower');
  mkdirSync(`${lower}/kept/inner`, { recursive: true });
  mkdirSync(`${lower}/hidden`);
  writeFileSync(`${lower}/kept/gone`, 'x');
  writeFileSync(`${lower}/hidden/old`, 'x');
  const upper = place.dir('upper');
  const work = place.dir('work');
  const merged = place.dir('merged');
  mountOverlay({ lowerDirs: [lower], upperDir: upper, workDir: work }, merged);
  rmSync(`${merged}/kept/gone`);
  rmSync(`${merged}/hidden`, { recursive: true });
  mkdirSync(`${merged}/hidden`);
  writeFileSync(`${merged}/hidden/new`, 'new');
  writeFileSync(`${merged}/kept/inner/file`, 'file');
  linkSync(`${merged}/kept/inner/file`, `${merged}/kept/again`);
  unmount(merged);
  const { descriptor } = await rig.differ.diff(
    { kind: 'overlay', dir: upper, lowerDirs: [lower] },
    place.store,
    diffOptions('estargz'),
  );
  const blob: Blob = {
    layer: {
      ...descriptor,
      tocDigest: descriptor.annotations![tocDigestAnnotation]! as LazyLayer['tocDigest'],
    },
    bytes: Buffer.from(await place.store.readAll(descriptor.digest)),
  };
  const { target } = await mountLayer(blob, counting(blob), 'overlay', [lower]);
  mountOverlay({ lowerDirs: [target, lower] }, merged);
  try {
    assert.deepEqual(Object.keys(await look(merged)).sort(), [
      'hidden',
      'hidden/new',
      'kept',
      'kept/again',
      'kept/inner',
      'kept/inner/file',
    ]);
    assert.equal(Buffer.from((await readFile(`${merged}/kept/again`)) as Uint8Array).toString(), 'file');
  } finally {
    unmount(merged);
  }
});

test('a read fails with EIO when the registry does not answer, and the mount says why; a later read has success', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, 'content');
  const blob = await estargzOf(dir);
  const source = counting(blob);
  const { target, mount } = await mountLayer(blob, source);
  source.fault = () => {
    throw new KilnError('unavailable', 'registry.example is gone');
  };
  const began = performance.now();
  assert.equal(mount.failure, undefined);
  assert.equal(await readFile(`${target}/file`), 'EIO');
  const { error, at } = mount.failure!;
  assert.equal(error.code, 'unavailable');
  assert.match(error.message, new RegExp(`${blob.layer.digest}.*registry.example is gone`));
  assert.ok(at > began);
  source.fault = undefined;
  assert.equal(Buffer.from((await readFile(`${target}/file`)) as Uint8Array).toString(), 'content');
});

test('no byte of a chunk that is another one than its digest says is handed out', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, randomBytes(1000));
  const blob = await estargzOf(dir);
  const forged = Buffer.from(blob.bytes);
  const good = counting(blob);
  const { target, mount } = await mountLayer(blob, {
    whole: () => good.whole(),
    read: async (range, each) => {
      const bytes = Buffer.from(await good.read(range, each));
      if (range.offset < forged.length / 2 && range.length < forged.length) bytes[bytes.length >> 1]! ^= 1;
      return bytes;
    },
  });
  assert.equal(await readFile(`${target}/file`), 'EIO');
  assert.equal(mount.failure?.error.code, 'data_loss');
});

/** A source that answers nothing but what mounting needs; `asked` is called when more is wanted. */
function silent(blob: Blob, asked: () => void): LayerBytes & { isSilent: boolean } {
  const good = counting(blob);
  const never = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      asked();
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  return {
    isSilent: false,
    async read(range, each) {
      return this.isSilent ? await never(each) : await good.read(range, each);
    },
    whole: (each) => never(each),
  };
}

test('ending a mount ends its readers', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, 'content');
  const waiting = Promise.withResolvers<void>();
  const blob = await estargzOf(dir);
  const source = silent(blob, waiting.resolve);
  const { target, mount } = await mountLayer(blob, source);
  source.isSilent = true;
  const reading = readFile(`${target}/file`);
  await waiting.promise;
  await mount[Symbol.asyncDispose]();
  assert.equal(typeof (await reading), 'string');
  assert.deepEqual(readdirSync(target), []);
});

test('threads wait for nothing any more once nobody wants what they do, and processes that are killed end', async () => {
  const dir = place.dir('tree');
  for (const name of ['file', 'other']) writeFileSync(`${dir}/${name}`, `content of ${name}`);
  const blob = await estargzOf(dir);
  const questions = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  const source = silent(blob, () => questions[asked++]?.resolve());
  const { target, mount } = await mountLayer(blob, source);
  source.isSilent = true;
  const reading = readFile(`${target}/file`);
  await questions[0]!.promise;
  const program = spawn('cat', [`${target}/other`]);
  const ended = once(program, 'exit');
  await questions[1]!.promise;
  mount.giveUp();
  assert.equal(typeof (await reading), 'string');
  assert.equal(program.exitCode, null);
  program.kill('SIGKILL');
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  source.isSilent = false;
  mount.resume();
  assert.equal(Buffer.from((await readFile(`${target}/file`)) as Uint8Array).toString(), 'content of file');
});

test('who fetches cannot wait for what is fetched, however many try: others go on', async () => {
  const dir = place.dir('tree');
  for (let index = 0; index < 16; index++) writeFileSync(`${dir}/f${index}`, randomBytes(1000));
  const blob = await estargzOf(dir);
  const { target, mount } = await mountLayer(blob, counting(blob));
  assert.throws(() => readFileSync(`${target}/f0`), { errno: -constants.errno.EDEADLK });
  const many = Array.from({ length: 16 }, (_, index) =>
    fs.readFile(`${target}/f${index}`).then(
      () => 'read',
      (error) => -error.errno,
    ),
  );
  assert.deepEqual(new Set(await Promise.all(many)), new Set([constants.errno.EDEADLK]));
  await mounts.bring([{ path: `${target}/f3` }, { path: `${target}/none` }], signal);
  assert.ok((await fs.readFile(`${target}/f3`)).equals(readFileSync(`${dir}/f3`)));
  assert.equal(mount.isComplete, false);
  await mount.complete(signal);
  assert.equal(mount.isComplete, true);
  for (let index = 0; index < 16; index++) {
    assert.ok((await fs.readFile(`${target}/f${index}`)).equals(readFileSync(`${dir}/f${index}`)));
  }
});

test('chunks are fetched again if the machine may have lost them, and a layer that came whole is known to have', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, randomBytes(1000));
  const blob = await estargzOf(dir);
  const source = counting(blob);
  const { directory, target, mount } = await mountLayer(blob, source);
  await readFile(`${target}/file`);
  assert.equal(mount.isComplete, true);
  await mount[Symbol.asyncDispose]();
  const again = await mounts.mount(blob.layer, source, { directory, target });
  assert.equal(again.isComplete, true);
  await again[Symbol.asyncDispose]();
  writeFileSync(path.join(directory, 'boot'), 'an earlier start of the machine');
  writeFileSync(path.join(directory, 'data'), '');
  const lost = await mounts.mount(blob.layer, source, { directory, target });
  assert.equal(lost.isComplete, false);
  assert.ok(readFileSync(`${dir}/file`).equals((await readFile(`${target}/file`)) as Uint8Array));
});

test('descriptors of mounts are given back', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, 'content');
  const blob = await estargzOf(dir);
  const { mount } = await mountLayer(blob, counting(blob));
  await mount[Symbol.asyncDispose]();
  const before = descriptorsOfMounts();
  for (let round = 0; round < 5; round++) {
    const { target, mount: each } = await mountLayer(blob, counting(blob));
    await readFile(`${target}/file`);
    await each[Symbol.asyncDispose]();
    await each[Symbol.asyncDispose]();
  }
  assert.deepEqual(descriptorsOfMounts(), before);
});

/** Of this process and of those that it started. */
function descriptorsOfMounts(): readonly string[] {
  const links = [process.pid, ...children()].flatMap((pid) =>
    readdirSync(`/proc/${pid}/fd`).flatMap((each) => {
      const link = `/proc/${pid}/fd/${each}`;
      // That of the listing itself is gone.
      return lstatSync(link, { throwIfNoEntry: false }) ? [readlinkSync(link)] : [];
    }),
  );
  return links.filter((link) => link === '/dev/fuse' || link.startsWith(place.path));
}

function children(): readonly number[] {
  const text = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

test('mounts are made again when the process that serves them is lost', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, 'content');
  const blob = await estargzOf(dir);
  const { target, mount: mounted } = await mountLayer(blob, counting(blob));
  const [server] = children();
  process.kill(server!, 'SIGKILL');
  while (children().includes(server!) || !isServed(target)) await pause(5);
  assert.equal(Buffer.from((await readFile(`${target}/file`)) as Uint8Array).toString(), 'content');
  await mounted[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(target), []);
});

function isServed(target: string): boolean {
  try {
    return readdirSync(target).length > 0;
  } catch {
    return false;
  }
}

test('tables of contents that cannot be served are refused', async () => {
  const file = { name: 'f', type: 'reg', size: 10, offset: 0, chunkDigest: digestOf('x') };
  const chunk = { name: 'f', type: 'chunk', chunkOffset: 4, offset: 0, chunkDigest: digestOf('x') };
  const hostile: unknown[] = [
    [],
    { version: 2, entries: [] },
    { version: 1, entries: [null] },
    { version: 1, entries: [{ ...file, offset: 1e9 }] },
    { version: 1, entries: [{ ...file, offset: -1 }] },
    { version: 1, entries: [{ ...file, size: 2 ** 60 }] },
    { version: 1, entries: [{ ...file, size: 1e9 }] },
    { version: 1, entries: [{ ...file, chunkSize: 4 }] },
    { version: 1, entries: [{ ...file, chunkSize: 5 }, chunk] },
    {
      version: 1,
      entries: [
        { ...file, chunkSize: 4 },
        { ...chunk, name: 'g' },
      ],
    },
    { version: 1, entries: [{ ...file, chunkSize: 11 }] },
    { version: 1, entries: [{ ...file, chunkDigest: 'sha256:1' }] },
    { version: 1, entries: [{ ...file, innerOffset: 2 ** 40 }] },
    { version: 1, entries: [{ ...file, name: 'a\0b' }] },
    { version: 1, entries: [{ name: 'f', type: 'constructor' }] },
    {
      version: 1,
      entries: Array.from({ length: 1_000_000 }, (_, index) => ({ name: `${index}`, type: 'dir' })),
    },
    { version: 1, entries: [{ name: 'h', type: 'hardlink', linkName: 'h2' }] },
    {
      version: 1,
      entries: [
        { name: 'a/b', type: 'dir' },
        { ...file, name: 'c' },
        { ...file, name: 'c/d' },
      ],
    },
  ];
  for (const document of hostile) {
    const blob = blobOfToc(document);
    await assert.rejects(
      mountLayer(blob, counting(blob)),
      (error) =>
        error instanceof KilnError && ['failed_precondition', 'invalid_argument'].includes(error.code),
      JSON.stringify(document).slice(0, 200),
    );
  }
});

test('names that lead out, links in circles and through links, and very deep directories stay inside', async () => {
  const file = { type: 'reg', size: 0, mode: 0o644 };
  const directory = { type: 'dir', mode: 0o755 };
  const deep = Array.from({ length: 900 }, () => 'd').join('/');
  const blob = blobOfToc({
    version: 1,
    entries: [
      { name: '../../escaped', ...directory },
      { name: '/absolute', ...directory },
      { name: 'link', type: 'symlink', linkName: place.path },
      { name: 'link/through', ...file },
      { name: 'twice', ...directory },
      { name: 'twice', ...file },
      { name: deep, ...directory },
    ],
  });
  const { target } = await mountLayer(blob, counting(blob));
  const names = Object.keys(await look(target));
  const top = [...new Set(names.map((name) => name.split('/')[0]))].sort();
  // A link leads to a place inside, as when it is followed by a step.
  assert.deepEqual(top, ['absolute', 'd', 'escaped', 'link', 'tmp', 'twice']);
  assert.ok(names.includes(deep));
  assert.ok(names.includes(`${place.path.slice(1)}/through`));
  assert.ok(!readdirSync(place.path).includes('through'));
  const circle = blobOfToc({
    version: 1,
    entries: [
      { name: 'a', type: 'hardlink', linkName: 'b' },
      { name: 'b', type: 'hardlink', linkName: 'a' },
    ],
  });
  await assert.rejects(mountLayer(circle, counting(circle)), { code: 'invalid_argument' });
});

test('files that share a gzip member are read each from its place in it', async () => {
  const contents = [randomBytes(700), randomBytes(5000), Buffer.from('last')];
  const member = gzipSync(Buffer.concat([Buffer.alloc(512), ...contents]));
  let innerOffset = 512;
  const entries = contents.map((content, index) => {
    const { length: size } = content;
    const entry = { name: `f${index}`, type: 'reg', size, mode: 0o644, offset: 0, innerOffset };
    innerOffset += size;
    return { ...entry, chunkDigest: digestOf(content) };
  });
  const blob = blobOfToc({ version: 1, entries }, member);
  const { target, mount } = await mountLayer(blob, counting(blob));
  assert.ok(contents[1]!.equals((await readFile(`${target}/f1`)) as Uint8Array));
  assert.equal(mount.isComplete, false);
  await mount.complete(signal);
  for (const [index, content] of contents.entries()) {
    assert.ok(content.equals((await readFile(`${target}/f${index}`)) as Uint8Array));
  }
});

test('a file is read however much follows it in its gzip member, as headers of files without data do', async () => {
  const content = randomBytes(100_000);
  const member = gzipSync(Buffer.concat([content, Buffer.alloc(40 << 20)]));
  const file = { name: 'f', type: 'reg', size: content.length, mode: 0o644, offset: 0 };
  const entries = [{ ...file, chunkDigest: digestOf(content) }];
  const blob = blobOfToc({ version: 1, entries }, member);
  const { target } = await mountLayer(blob, counting(blob));
  assert.ok(content.equals((await readFile(`${target}/f`)) as Uint8Array));
});

test('wrong parts, and refusals to send any, are made up for by the whole blob', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, randomBytes(1000));
  const blob = await estargzOf(dir);
  for (const spoil of ['bytes', 'refusal'] as const) {
    const good = counting(blob);
    let state: 'mounting' | 'spoilt' | 'whole' = 'mounting';
    const { target } = await mountLayer(blob, {
      async whole() {
        state = 'whole';
        return await good.whole();
      },
      async read(range, each) {
        const bytes = Buffer.from(await good.read(range, each));
        if (state !== 'spoilt') return bytes;
        if (spoil === 'refusal') throw new KilnError('failed_precondition', 'no parts');
        return Buffer.alloc(bytes.length, 7);
      },
    });
    state = 'spoilt';
    assert.ok(readFileSync(`${dir}/file`).equals((await readFile(`${target}/file`)) as Uint8Array), spoil);
    assert.equal(state, 'whole');
  }
});

test('a full disk fails a read, and says so; with space again the read has success', async () => {
  const dir = place.dir('tree');
  writeFileSync(`${dir}/file`, randomBytes(2 << 20));
  const blob = await estargzOf(dir);
  const small = place.dir('small');
  mount({ source: 'tmpfs', target: small, type: 'tmpfs', flags: 0, data: 'size=2560k' });
  try {
    const directory = path.join(small, 'lazy');
    const target = path.join(small, 'fs');
    mkdirSync(target);
    const source = counting(blob);
    await mounts.prepare(blob.layer, source, { directory, form: 'tree', below: [] }, signal);
    await using mounted = await mounts.mount(blob.layer, source, { directory, target });
    writeFileSync(path.join(small, 'filler'), Buffer.alloc(1 << 20));
    assert.equal(await readFile(`${target}/file`), 'EIO');
    assert.match(mounted.failure!.error.message, /ENOSPC/);
    rmSync(path.join(small, 'filler'));
    assert.ok(readFileSync(`${dir}/file`).equals((await readFile(`${target}/file`)) as Uint8Array));
  } finally {
    unmount(small);
  }
});

/** A blob of a table of contents, after what is given. */
function blobOfToc(document: unknown, start: Buffer = Buffer.alloc(100)): Blob {
  const json = Buffer.from(JSON.stringify(document));
  const header = Buffer.alloc(512);
  header.write('stargz.index.json', 0);
  header.write('0000644\0', 100);
  header.write(`${json.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padded = Buffer.alloc(Math.ceil(json.length / 512) * 512);
  json.copy(padded);
  const member = gzipSync(Buffer.concat([header, padded, Buffer.alloc(1024)]));
  const subfield = Buffer.from(`${start.length.toString(16).padStart(16, '0')}STARGZ`);
  const footer = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0, 0x53, 0x47, 22, 0]),
    subfield,
    Buffer.from([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]),
  ]);
  const bytes = Buffer.concat([start, member, footer]);
  return { layer: { digest: digestOf(bytes), size: bytes.length, tocDigest: digestOf(json) }, bytes };
}
