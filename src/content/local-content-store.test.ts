import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestHex } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { writeBlob } from './content.ts';
import { contentStoreSuite } from './content-store-suite.ts';
import { openLocalContentStore } from './local-content-store.ts';

async function temporaryRoot(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'kiln-content-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

contentStoreSuite('local', async () => {
  const root = await temporaryRoot();
  const store = await openLocalContentStore(root.path);
  return { store, [Symbol.asyncDispose]: () => root[Symbol.asyncDispose]() };
});

test('a local store opened again has its blobs, and none of the files that were being written', async () => {
  await using root = await temporaryRoot();
  const first = await openLocalContentStore(root.path);
  const { digest } = await writeBlob(first, Buffer.from('kept'));
  await writeFile(join(first.temporaryDirectory, 'left'), 'half of');
  const second = await openLocalContentStore(root.path);
  assert.equal(Buffer.from(await second.readAll(digest)).toString(), 'kept');
  assert.deepEqual(await readdir(second.temporaryDirectory), []);
});

test('a local store lays blobs out as an OCI layout does', async () => {
  await using root = await temporaryRoot();
  const store = await openLocalContentStore(root.path);
  const { digest } = await writeBlob(store, Buffer.from('data'));
  const path = join(root.path, 'blobs', 'sha256', digestHex(digest));
  assert.equal(await readFile(path, 'utf8'), 'data');
  assert.equal(store.localPath(digest), path);
});

test('a local store adopts no file from elsewhere', async () => {
  await using root = await temporaryRoot();
  const store = await openLocalContentStore(root.path);
  const { digest } = await writeBlob(store, Buffer.from('data'));
  const outside = join(root.path, 'outside');
  await writeFile(outside, 'data');
  await assert.rejects(
    store.adopt(outside, { digest, size: 4 }),
    (error) => error instanceof KilnError && error.code === 'invalid_argument',
  );
  assert.equal(await readFile(outside, 'utf8'), 'data');
});

test('blobs that may not be whole are checked when the store opens, older ones are not', async () => {
  await using root = await temporaryRoot();
  const first = await openLocalContentStore(root.path);
  const put = async (text: string) => (await writeBlob(first, Buffer.from(text))).digest;
  const [whole, broken, old] = [await put('whole'), await put('broken'), await put('old')];
  for (const digest of [broken, old]) await truncate(first.localPath!(digest)!, 0);
  const yesterday = Date.now() / 1000 - 24 * 3600;
  await utimes(first.localPath!(old)!, yesterday, yesterday);

  const second = await openLocalContentStore(root.path, { doubtfulSince: Date.now() - 1000 });
  assert.equal((await second.stat(whole))?.size, 5);
  assert.equal(await second.stat(broken), undefined);
  assert.equal((await second.stat(old))?.size, 0);
});
