import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { downloadBlob } from './download-blob.ts';

const directory = temporaryDirectories();
const data = randomBytes(1_000_000);
const blob = { mediaType: 'application/octet-stream', digest: digestOf(data), size: data.length };
const retry = { attempts: 3, firstDelay: 1 };

/** Downloads from a server that ends every answer after so many bytes. Returns how many answers there were. */
async function requests(bytes: number): Promise<{ readonly count: number; readonly failure: unknown }> {
  const store = await openLocalContentStore(directory());
  let count = 0;
  async function* open(offset: number): AsyncIterable<Uint8Array> {
    count++;
    yield data.subarray(offset, offset + bytes);
  }
  const access = { signal: new AbortController().signal, sessions: [] };
  const failure = await downloadBlob(blob, store, access, async (offset) => open(offset), retry).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!failure) assert.ok((await store.readAll(blob.digest)).length === data.length);
  return { count, failure };
}

test('a download goes on after many answers that end early', async () => {
  const { count, failure } = await requests(50_000);
  assert.equal(failure, undefined);
  assert.equal(count, 20);
});

test('a download is given up when answers bring next to nothing', async () => {
  const { count, failure } = await requests(1);
  assert.equal(count, 3);
  assert.match(String(failure), /ended after 3 of 1000000 bytes/);
});
