import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { openS3Client } from './s3-client.ts';
import { s3Options } from './s3-options.ts';
import { touchObject } from './touch-object.ts';

/** What the service answers to a request, by its query and method. The server for tests cannot copy parts. */
function answerTo(method: string, query: URLSearchParams, fails: boolean): readonly [number, string] {
  if (query.has('uploads')) return [200, '<R><UploadId>up</UploadId></R>'];
  if (query.has('partNumber')) {
    const number = query.get('partNumber');
    return fails && number === '2'
      ? [400, '<Error><Code>Bad</Code></Error>']
      : [200, `<R><ETag>"${number}"</ETag></R>`];
  }
  return [method === 'DELETE' ? 204 : 200, '<R></R>'];
}

async function touched(fails: boolean) {
  const seen: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url!, 'http://server');
    const range = request.headers['x-amz-copy-source-range'] ?? '';
    const parts = [
      ...Buffer.concat(chunks)
        .toString()
        .matchAll(/<PartNumber>(\d+)</g),
    ].map(([, part]) => part);
    seen.push(`${request.method} ${url.searchParams.get('partNumber') ?? ''} ${range} ${parts}`);
    const [status, body] = answerTo(request.method!, url.searchParams, fails);
    response.writeHead(status, { 'content-type': 'application/xml' }).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { access_key_id: 'id', secret_access_key: 'key', use_path_style: 'true' };
  const client = await openS3Client(
    s3Options({ bucket: 'b', region: 'r', endpoint_url, ...credentials }, {}),
  );
  const outcome = touchObject(client, { bucket: 'b', key: 'k', size: 25 }, AbortSignal.timeout(10_000), 10);
  const error = await outcome.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  client.destroy();
  server.closeAllConnections();
  server.close();
  return { seen, error };
}

test('s3: an object that is too large to be copied at once is copied in parts', async () => {
  const { seen, error } = await touched(false);
  assert.equal(error, undefined);
  assert.deepEqual(seen, [
    'POST   ',
    'PUT 1 bytes=0-9 ',
    'PUT 2 bytes=10-19 ',
    'PUT 3 bytes=20-24 ',
    'POST   1,2,3',
  ]);
});

test('s3: a copy in parts that fails leaves no parts behind', async () => {
  const { seen, error } = await touched(true);
  assert.ok(error instanceof Error);
  assert.deepEqual(seen, ['POST   ', 'PUT 1 bytes=0-9 ', 'PUT 2 bytes=10-19 ', 'DELETE   ']);
});
