import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Digest, digestOf } from '../base/digest.ts';
import { type ErrorCode, KilnError } from '../base/errors.ts';
import { type BlobInfo, type ContentStore, mostInMemory, writeBlob } from './content.ts';

/** A store to test. Disposing removes it. */
export interface ContentStoreFixture extends AsyncDisposable {
  readonly store: ContentStore;
}

const hasCode = (code: ErrorCode) => (error: unknown) => error instanceof KilnError && error.code === code;
const bytes = (text: string) => new TextEncoder().encode(text);

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}

/** Tests what every content store does; the test file of each store runs it. */
export function contentStoreSuite(name: string, open: () => Promise<ContentStoreFixture>): void {
  const it = (title: string, body: (store: ContentStore) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      await using fixture = await open();
      await body(fixture.store);
    });

  it('a blob is found by its digest, whole and in ranges', async (store) => {
    const data = bytes('hello, world');
    const info = await writeBlob(store, data);
    assert.deepEqual(info, { digest: digestOf(data), size: data.length });
    assert.deepEqual(await store.stat(info.digest), info);
    assert.deepEqual(Buffer.from(await store.readAll(info.digest)), Buffer.from(data));
    const range = async (offset?: number, length?: number) =>
      Buffer.concat(await collect(store.read(info.digest, { offset, length }))).toString();
    assert.equal(await range(), 'hello, world');
    assert.equal(await range(7), 'world');
    assert.equal(await range(0, 5), 'hello');
    assert.equal(await range(7, 100), 'world');
    assert.equal(await range(100), '');
    assert.equal(await range(3, 0), '');
  });

  it('the empty blob is a blob', async (store) => {
    const info = await writeBlob(store, new Uint8Array());
    assert.equal(info.size, 0);
    assert.deepEqual(await collect(store.read(info.digest)), []);
    assert.equal((await store.readAll(info.digest)).length, 0);
  });

  it('large chunks that are lent are one piece of memory, and others stay', async (store) => {
    const data = randomBytes(3_500_000);
    const { digest } = await writeBlob(store, data);
    const lent: { readonly memory: ArrayBufferLike; readonly bytes: Buffer }[] = [];
    for await (const chunk of store.read(digest, { lent: true, offset: 5 }))
      lent.push({ memory: chunk.buffer, bytes: Buffer.from(chunk) });
    assert.ok(Buffer.concat(lent.map(({ bytes }) => bytes)).equals(data.subarray(5)));
    assert.equal(new Set(lent.map(({ memory }) => memory)).size, 1);
    assert.ok(Buffer.concat(await collect(store.read(digest, { offset: 5 }))).equals(data.subarray(5)));
  });

  it('a blob written in pieces of any size reads back the same', async (store) => {
    const data = Buffer.alloc(5_000_001, 'some text that repeats, ');
    await using writer = await store.writer({ digest: digestOf(data), size: data.length });
    for (let at = 0, step = 1; at < data.length; at += step, step = step * 3 + 1) {
      await writer.write(data.subarray(at, at + step));
    }
    const { digest } = await writer.commit();
    assert.ok(Buffer.concat(await collect(store.read(digest))).equals(data));
  });

  it('a blob that is too large for a document is read in pieces only', async (store) => {
    const { digest, size } = await writeBlob(store, Buffer.alloc(mostInMemory + 1));
    await assert.rejects(store.readAll(digest), hasCode('out_of_range'));
    let read = 0;
    for await (const chunk of store.read(digest)) read += chunk.length;
    assert.equal(read, size);
    const largest = await writeBlob(store, Buffer.alloc(mostInMemory));
    assert.equal((await store.readAll(largest.digest)).length, mostInMemory);
  });

  it('what is not there is undefined to stat and not_found to read', async (store) => {
    const digest = digestOf('absent');
    assert.equal(await store.stat(digest), undefined);
    await assert.rejects(store.readAll(digest), hasCode('not_found'));
    await assert.rejects(collect(store.read(digest)), hasCode('not_found'));
    await store.delete(digest);
  });

  it('bytes that are not what was expected never become a blob', async (store) => {
    const data = bytes('data');
    await assert.rejects(writeBlob(store, data, { digest: digestOf('other') }), hasCode('data_loss'));
    await assert.rejects(writeBlob(store, data, { size: 3 }), hasCode('data_loss'));
    await assert.rejects(writeBlob(store, data, { size: 5 }), hasCode('data_loss'));
    assert.deepEqual(await collect(store.list()), []);
    assert.deepEqual(await readdir(store.temporaryDirectory), []);
  });

  it('nothing is seen before the commit, and nothing stays of a writer that was only disposed', async (store) => {
    const digest = digestOf('data');
    {
      await using writer = await store.writer();
      await writer.write(bytes('data'));
      assert.equal(await store.stat(digest), undefined);
    }
    assert.equal(await store.stat(digest), undefined);
    assert.deepEqual(await readdir(store.temporaryDirectory), []);
  });

  it('a writer is used once', async (store) => {
    await using writer = await store.writer();
    await writer.commit();
    await assert.rejects(writer.write(bytes('more')), hasCode('failed_precondition'));
    await assert.rejects(writer.commit(), hasCode('failed_precondition'));
  });

  it('several writers of one blob all succeed', async (store) => {
    const data = bytes('shared');
    const infos = await Promise.all(
      Array.from({ length: 5 }, () => writeBlob(store, data, { digest: digestOf(data) })),
    );
    assert.equal(new Set(infos.map((info) => info.digest)).size, 1);
    assert.deepEqual(await collect(store.list()), [infos[0]]);
    assert.deepEqual(await readdir(store.temporaryDirectory), []);
  });

  it('a finished temporary file is adopted, once and again', async (store) => {
    const data = bytes('made by a thread');
    const info: BlobInfo = { digest: digestOf(data), size: data.length };
    for (const file of ['one', 'two']) {
      const path = join(store.temporaryDirectory, file);
      await writeFile(path, data);
      await store.adopt(path, info);
    }
    assert.deepEqual(Buffer.from(await store.readAll(info.digest)), Buffer.from(data));
    assert.deepEqual(await readdir(store.temporaryDirectory), []);
  });

  it('a temporary file of another size than said is not adopted', async (store) => {
    const path = join(store.temporaryDirectory, 'short');
    await writeFile(path, 'abc');
    await assert.rejects(store.adopt(path, { digest: digestOf('abc'), size: 4 }), hasCode('data_loss'));
    assert.equal(await store.stat(digestOf('abc')), undefined);
  });

  it('list names every blob and delete removes one, also while it is read', async (store) => {
    const infos = [];
    for (const text of ['one', 'two', 'three']) infos.push(await writeBlob(store, bytes(text)));
    const order = (items: readonly BlobInfo[]) => items.map((item): Digest => item.digest).sort();
    assert.deepEqual(order(await collect(store.list())), order(infos));
    const reading = store.read(infos[0]!.digest)[Symbol.asyncIterator]();
    assert.equal((await reading.next()).done, false);
    await store.delete(infos[0]!.digest);
    assert.equal((await reading.next()).done, true);
    assert.deepEqual(order(await collect(store.list())), order(infos.slice(1)));
  });
}
