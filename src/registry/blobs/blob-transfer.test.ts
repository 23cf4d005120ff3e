import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { mediaTypes } from '../../oci/descriptor.ts';
import { parseReference } from '../../oci/reference.ts';
import { createRegistry } from '../http-registry.ts';
import { access, isBlob, openPushRig, type PushRig, quick } from '../push-rig.ts';
import { anonymousAuth } from '../registry.ts';

let rig: PushRig;
before(async () => {
  rig = await openPushRig();
});
after(() => rig[Symbol.asyncDispose]());

test('a transfer that breaks is resumed where it broke', async () => {
  const { layer } = await rig.push(rig.host, 'resumed:1');
  const bytes = await rig.store.readAll(layer.digest);
  const starts: number[] = [];
  await using meddler = await rig.startMeddler((incoming, outgoing) => {
    if (!isBlob(incoming) || starts.length >= 2) return false;
    const start = Number(/bytes=(\d+)-/.exec(incoming.headers.range ?? '')?.[1] ?? 0);
    starts.push(start);
    outgoing.writeHead(start === 0 ? 200 : 206, { 'content-length': layer.size - start });
    outgoing.write(bytes.subarray(start, start + 100_000), () => setImmediate(() => outgoing.destroy()));
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(rig.directory, 'resumed'));
  await registry.fetchBlob(parseReference(`${meddler.host}/resumed:1`), layer, target, access());
  const [first, second] = starts;
  assert.equal(first, 0);
  // What was on its way when the connection broke may be lost.
  assert.ok(second! > 0 && second! <= 100_000, `resumed at ${second}`);
  assert.equal(digestOf(await target.readAll(layer.digest)), layer.digest);
});

test('a server that ignores ranges is read from the start without mixing up bytes', async () => {
  const { layer } = await rig.push(rig.host, 'ignored:1');
  const bytes = await rig.store.readAll(layer.digest);
  let asked = 0;
  await using meddler = await rig.startMeddler((incoming, outgoing) => {
    if (!isBlob(incoming)) return false;
    outgoing.writeHead(200, { 'content-length': layer.size });
    if (asked++ === 0)
      outgoing.write(bytes.subarray(0, 70_000), () => setImmediate(() => outgoing.destroy()));
    else outgoing.end(bytes);
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(rig.directory, 'ignored'));
  await registry.fetchBlob(parseReference(`${meddler.host}/ignored:1`), layer, target, access());
  assert.equal(asked, 2);
  assert.equal(digestOf(await target.readAll(layer.digest)), layer.digest);
});

test('a registry may close the connection as soon as it has sent everything, however slow the reader is', async () => {
  const layer = await rig.blob(randomBytes(3 * 1024 * 1024), mediaTypes.ociLayer);
  const bytes = await rig.store.readAll(layer.digest);
  await using meddler = await rig.startMeddler(({ socket }) => {
    socket.write(`HTTP/1.0 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`);
    socket.end(bytes);
    return true;
  });
  const reference = parseReference(`${meddler.host}/closing:1`);
  for (let turn = 0; turn < 20; turn++) {
    await using registry = createRegistry({ retry: quick });
    const target = await openLocalContentStore(path.join(rig.directory, `closing-${turn}`));
    await registry.fetchBlob(reference, layer, target, access());
    assert.equal((await target.stat(layer.digest))?.size, layer.size);
  }
});

test('a registry that refuses an upload before it has read it says why', async () => {
  const layer = await rig.blob(randomBytes(8 * 1024 * 1024), mediaTypes.ociLayer);
  await using meddler = await rig.startMeddler((incoming, outgoing) => {
    if (incoming.method !== 'PUT') return false;
    const status = incoming.url!.includes('/large/') ? 413 : 401;
    outgoing.writeHead(status, { connection: 'close' });
    outgoing.end('{"errors":[{"message":"not this one"}]}');
    return true;
  });
  const refusals = { large: 'failed_precondition', secret: 'unauthenticated' };
  for (const [name, code] of Object.entries(refusals)) {
    await using registry = createRegistry({ retry: quick });
    const reference = parseReference(`${meddler.host}/${name}/app`);
    await assert.rejects(registry.pushBlob(reference, layer, rig.bodyOf(layer), access()), {
      code,
      message: /answered 4\d\d to PUT .*not this one/,
    });
  }
});

test('a layer that its registry does not keep comes from where its publisher put it, without credentials', async () => {
  const layer = await rig.blob(randomBytes(50_000), mediaTypes.dockerForeignLayerGzip);
  const bytes = await rig.store.readAll(layer.digest);
  await using publisher = await rig.startMeddler((incoming, outgoing) => {
    outgoing.writeHead(200).end(incoming.url === '/wrong' ? 'something else' : bytes);
    return true;
  });
  const urls = [
    'file:///etc/passwd',
    `http://${publisher.host}/wrong`,
    `http://${publisher.host}/layer.tar.gz`,
  ];
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(rig.directory, 'foreign'));
  const auth = { ...anonymousAuth, credentials: async () => ({ username: 'kiln', secret: 'secret' }) };
  const reference = parseReference(`${rig.host}/foreign:1`);
  await registry.fetchBlob(reference, { ...layer, urls }, target, access(auth));
  assert.equal(digestOf(await target.readAll(layer.digest)), layer.digest);
  assert.deepEqual(new Set(publisher.requests.map(({ url }) => url)), new Set(['/wrong', '/layer.tar.gz']));
  assert.ok(publisher.requests.every(({ headers }) => headers.authorization === undefined));
});
