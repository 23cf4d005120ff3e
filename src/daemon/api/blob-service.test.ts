import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Client, createClient, createRouterTransport } from '@connectrpc/connect';
import { Content } from '../../api/gen/content_pb.js';
import { serverErrors } from '../../api/server-errors.ts';
import { withKilnErrors } from '../../api/with-kiln-errors.ts';
import { digestOf } from '../../base/digest.ts';
import { type ContentStore, writeBlob } from '../../content/content.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { blobService } from './blob-service.ts';

describe("the daemon's blobs", () => {
  let directory: string;
  let store: ContentStore;
  let client: Client<typeof Content>;
  before(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'kiln-blobs-'));
    store = await openLocalContentStore(directory);
    const transport = createRouterTransport((router) => router.service(Content, blobService([store])), {
      router: { interceptors: [serverErrors] },
    });
    client = createClient(Content, withKilnErrors(transport));
  });
  after(() => rmSync(directory, { recursive: true }));

  const read = async (request: { digest: string; offset?: bigint; size?: bigint }) => {
    const parts = await Array.fromAsync(client.read(request), ({ data }) => data);
    return Buffer.concat(parts).toString();
  };

  test('are listed, described and read, whole or in part', async () => {
    const { digest } = await writeBlob(store, Buffer.from('0123456789'));
    const listed = await Array.fromAsync(client.list({}));
    assert.deepEqual(
      listed.flatMap(({ info }) => info).map((info) => [info.digest, info.size]),
      [[digest, 10n]],
    );
    assert.equal((await client.info({ digest })).info?.size, 10n);
    assert.equal(await read({ digest }), '0123456789');
    assert.equal(await read({ digest, offset: 4n, size: 3n }), '456');
    assert.equal(await read({ digest, offset: 8n, size: 100n }), '89');
    await assert.rejects(read({ digest, offset: 11n }), { code: 'out_of_range' });
  });

  test('that are not there are not found', async () => {
    const digest = digestOf(Buffer.from('absent'));
    await assert.rejects(client.info({ digest }), { code: 'not_found' });
    await assert.rejects(read({ digest }), { code: 'not_found' });
  });

  test('cannot be changed', async () => {
    const { digest } = await writeBlob(store, Buffer.from('kept'));
    await assert.rejects(client.delete({ digest }), { code: 'failed_precondition' });
    const write = async function* () {
      yield { ref: 'new', data: Buffer.from('new') };
    };
    await assert.rejects(Array.fromAsync(client.write(write())), { code: 'failed_precondition' });
    assert.ok(await store.stat(digest));
  });
});
