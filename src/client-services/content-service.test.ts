import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { createContentClient } from '../session/requests/content-client.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { contentService } from './content-service.ts';

const newDir = temporaryDirectories();

test('an OCI layout is read and written through the content service', async () => {
  const layout = newDir();
  await using rig = await openSessionRig([contentService(new Map([['oci:base', layout]]))]);
  const content = createContentClient(rig.session, 'oci:base');
  const data = Buffer.alloc(2_500_000, 'blob');
  const digest = digestOf(data);
  assert.equal(await content.size(digest), undefined);
  const write = (bytes: Buffer) =>
    content.write(
      { digest, size: data.length },
      (async function* () {
        yield bytes;
      })(),
    );
  await assert.rejects(write(Buffer.from('other')), { code: 'failed_precondition' });
  assert.deepEqual(readdirSync(path.join(layout, 'blobs/sha256')), []);
  await write(data);
  await write(data);
  assert.deepEqual(readdirSync(path.join(layout, 'blobs/sha256')), [digest.slice(7)]);
  assert.equal(await content.size(digest), data.length);
  const parts: Uint8Array[] = [];
  for await (const part of content.read(digest, 1_000_000)) parts.push(part);
  assert.deepEqual(Buffer.concat(parts), data.subarray(1_000_000));
  const unknown = createContentClient(rig.session, 'oci:other');
  assert.equal(await unknown.size(digest), undefined);
  await assert.rejects(unknown.read(digest, 0)[Symbol.asyncIterator]().next(), {
    code: 'not_found',
    message: /no content store "oci:other"/,
  });
});
