import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createGunzip, gunzipSync } from 'node:zlib';
import { digestOf } from '../../base/digest.ts';
import { tocDigestAnnotation, uncompressedSizeAnnotation } from '../../oci/estargz.ts';
import {
  DifferRig,
  diffOptions,
  fillTree,
  makeTar,
  openPlace,
  parseTar,
  putBlob,
} from '../layer-differ-rig.ts';
import type { TocEntry } from './toc-entry.ts';

const rig = new DifferRig();
after(() => rig[Symbol.asyncDispose]());
const { differ } = rig;

const footerSize = 51;

/** The TOC of a blob, found as the format says, and the digest of its bytes. */
function tocOf(blob: Uint8Array) {
  const footer = Buffer.from(blob.subarray(blob.length - footerSize));
  assert.equal(gunzipSync(footer).length, 0);
  const [, offset] = /^SG\x16\0([0-9a-f]{16})STARGZ$/.exec(footer.toString('latin1', 12, 38)) ?? [];
  const archive = gunzipSync(blob.subarray(Number.parseInt(offset!, 16), blob.length - footerSize));
  const size = Number.parseInt(archive.toString('latin1', 124, 135), 8);
  assert.equal(archive.toString('latin1', 0, 18), 'stargz.index.json\0');
  const bytes = archive.subarray(512, 512 + size);
  const { version, entries } = JSON.parse(bytes.toString()) as { version: number; entries: TocEntry[] };
  assert.equal(version, 1);
  return { entries, digest: digestOf(bytes), offset: Number.parseInt(offset!, 16) };
}

/** What the gzip member at an offset holds. */
async function memberAt(blob: Uint8Array, offset: number): Promise<Buffer> {
  const gunzip = createGunzip();
  const chunks: Buffer[] = [];
  // Members follow, of which only the first is wanted.
  const end = blob.length;
  const next = nextMember(blob, offset, end);
  gunzip.end(blob.subarray(offset, next));
  for await (const chunk of gunzip) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const starts = new WeakMap<Uint8Array, readonly number[]>();

/** The first offset after this one at which the TOC says that a chunk begins, or where the TOC is. */
function nextMember(blob: Uint8Array, offset: number, end: number): number {
  const known = starts.get(blob) ?? [];
  return known.find((start) => start > offset) ?? end;
}

/** Reads a file chunk by chunk, each of them checked. */
async function readFile(blob: Uint8Array, name: string): Promise<Buffer> {
  const { entries, offset: tocOffset } = tocOf(blob);
  starts.set(
    blob,
    [...entries.flatMap(({ offset }) => offset ?? []), tocOffset].sort((a, b) => a - b),
  );
  const file = entries.find((entry) => entry.name === name && entry.type === 'reg')!;
  const parts = [file, ...entries.filter((entry) => entry.name === name && entry.type === 'chunk')];
  const chunks: Buffer[] = [];
  for (const part of parts) {
    const from = part.chunkOffset ?? 0;
    assert.equal(
      from,
      chunks.reduce((sum, { length }) => sum + length, 0),
    );
    const length = part.chunkSize ?? file.size! - from;
    const chunk = (await memberAt(blob, part.offset!)).subarray(0, length);
    assert.equal(part.chunkDigest, digestOf(chunk));
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  assert.equal(file.digest, digestOf(bytes));
  return bytes;
}

test('each file can be read alone, chunk by chunk, with what the table of contents says of it', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  const content = { small: randomBytes(700), exact: randomBytes(4 << 20), large: randomBytes((9 << 20) + 5) };
  for (const [name, bytes] of Object.entries(content)) writeFileSync(join(upper, name), bytes);
  writeFileSync(join(upper, 'empty'), '');
  const changes = { kind: 'trees', upper } as const;
  const { descriptor, diffId, tarDigest } = await differ.diff(changes, here.store, diffOptions('estargz'));
  const blob = await here.store.readAll(descriptor.digest);
  for (const [name, bytes] of Object.entries(content)) {
    assert.deepEqual(await readFile(blob, name), bytes, name);
  }
  const { entries, digest } = tocOf(blob);
  assert.equal(descriptor.annotations?.[tocDigestAnnotation], digest);
  const tar = gunzipSync(blob);
  assert.equal(diffId, digestOf(tar));
  assert.equal(descriptor.annotations?.[uncompressedSizeAnnotation], String(tar.length));
  assert.deepEqual(
    entries.map(({ name, type }) => `${type} ${name}`),
    ['reg empty', 'reg exact', 'reg large', 'chunk large', 'chunk large', 'reg small'],
  );
  const plain = await differ.diff(changes, here.store, diffOptions('uncompressed'));
  assert.equal(tarDigest, plain.diffId);
});

test('a layer of another format becomes the same estargz as its tree, and keeps its tar', async () => {
  using here = await openPlace();
  const upper = here.dir('upper');
  fillTree(upper);
  const changes = { kind: 'overlay', dir: upper, lowerDirs: [] } as const;
  const direct = await differ.diff(changes, here.store, diffOptions('estargz'));
  const gzip = await differ.diff(changes, here.store, diffOptions('gzip'));
  const converted = await differ.convert(gzip.descriptor, here.store, diffOptions('estargz'));
  assert.deepEqual(converted, direct);
  assert.equal(converted.tarDigest, gzip.diffId);
  const { entries } = tocOf(await here.store.readAll(converted.descriptor.digest));
  const tar = parseTar(gunzipSync(await here.store.readAll(gzip.descriptor.digest)));
  assert.deepEqual(
    entries.filter(({ type }) => type !== 'chunk').map(({ name }) => name),
    tar.map(({ name }) => Buffer.from(name, 'latin1').toString()),
  );
});

test('a layer that has a table of contents already is refused by name', async () => {
  using here = await openPlace();
  const tar = makeTar([{ name: './stargz.index.json', data: '{}' }]);
  const descriptor = await putBlob(here.store, tar);
  await assert.rejects(differ.convert(descriptor, here.store, diffOptions('estargz')), {
    code: 'failed_precondition',
    message: /cannot be written as estargz: it has a file stargz.index.json/,
  });
});
