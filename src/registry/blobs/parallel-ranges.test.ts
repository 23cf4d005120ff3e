import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { digestOf } from '../../base/digest.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { parseReference } from '../../oci/reference.ts';
import { createRegistry } from '../http-registry.ts';
import { access, type Meddler, openPushRig, type PushRig, quick } from '../push-rig.ts';

const megabyte = 1024 * 1024;

let rig: PushRig;
let layer: Descriptor;
let bytes: Uint8Array;
before(async () => {
  rig = await openPushRig();
  layer = await rig.blob(randomBytes(64 * megabyte), mediaTypes.ociLayer);
  bytes = await rig.store.readAll(layer.digest);
});
after(() => rig[Symbol.asyncDispose]());

/** A server each of whose connections is slow; the second part that it is asked for breaks once, if that is wanted. */
function slowServer(options: { readonly ranges: boolean; readonly breaks?: boolean }): Promise<Meddler> {
  let parts = 0;
  return rig.startMeddler((incoming, outgoing) => {
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(incoming.headers.range ?? '') ?? [];
    const ranged = options.ranges && first !== undefined;
    const from = ranged ? Number(first) : 0;
    const to = ranged && last ? Number(last) + 1 : bytes.length;
    const headers = { 'content-length': to - from, ...(options.ranges && { 'accept-ranges': 'bytes' }) };
    outgoing.writeHead(ranged ? 206 : 200, {
      ...headers,
      ...(ranged && { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` }),
    });
    if (last) parts++;
    const cut = options.breaks && last && parts === 2;
    send(outgoing, bytes.subarray(from, cut ? from + 100_000 : to)).then(() =>
      cut ? outgoing.destroy() : outgoing.end(),
    );
    return true;
  });
}

/** 10 MB a second. */
async function send(outgoing: ServerResponse, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length && !outgoing.destroyed; at += megabyte) {
    await new Promise((resolve) => outgoing.write(data.subarray(at, at + megabyte), resolve));
    await delay(100);
  }
}

async function fetchFrom(server: Meddler, name: string): Promise<readonly string[]> {
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(rig.directory, name));
  await registry.fetchBlob(parseReference(`${server.host}/large`), layer, target, access());
  assert.equal(digestOf(await target.readAll(layer.digest)), layer.digest);
  return server.requests.map(({ headers }) => headers.range ?? '');
}

test('a large blob that comes slowly is read in parts at the same time, also when one of them breaks', async () => {
  await using server = await slowServer({ ranges: true, breaks: true });
  const ranges = await fetchFrom(server, 'parts');
  assert.ok(ranges.filter((range) => /-\d+$/.test(range)).length >= 4, ranges.join(' '));
});

test('a server without ranges is read from once', async () => {
  await using server = await slowServer({ ranges: false });
  assert.deepEqual(await fetchFrom(server, 'whole'), ['']);
});
