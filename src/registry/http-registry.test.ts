import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { KilnError } from '../base/errors.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { mediaTypes } from '../oci/descriptor.ts';
import { parseReference } from '../oci/reference.ts';
import { createRegistry } from './http-registry.ts';
import { access, isBlob, openPushRig, type PushRig, quick } from './push-rig.ts';
import { anonymousAuth } from './registry.ts';

let rig: PushRig;
before(async () => {
  rig = await openPushRig();
});
after(() => rig[Symbol.asyncDispose]());

test('what was pushed can be resolved and pulled again', async () => {
  await using registry = createRegistry();
  const { reference, manifest, bytes, layer } = await rig.push(rig.host, 'round/trip:1');
  const resolved = await registry.resolve(reference, access());
  assert.deepEqual(resolved, manifest);
  assert.deepEqual(
    Buffer.from(await registry.fetchManifest(reference, resolved, access())),
    Buffer.from(bytes),
  );
  const seen: number[] = [];
  await registry.fetchBlob(reference, layer, rig.fresh, {
    ...access(),
    onProgress: (count) => seen.push(count),
  });
  assert.equal((await rig.fresh.stat(layer.digest))?.size, layer.size);
  assert.equal(seen.at(-1), layer.size);
});

test('a blob that exists is not sent again, and one of another repository is mounted', async () => {
  await using registry = createRegistry();
  const { reference, layer } = await rig.push(rig.host, 'first:1');
  const never = { open: () => assert.fail('the blob was opened') };
  assert.equal(await registry.pushBlob(reference, layer, never, access()), 'exists');
  const other = parseReference(`${rig.host}/second`);
  const mounting = { ...access(), mountFrom: ['first'] };
  assert.equal(await registry.pushBlob(other, layer, never, mounting), 'mounted');
});

test('a manifest without a tag is pushed under its digest alone', async () => {
  await using registry = createRegistry();
  const { reference, manifest, bytes } = await rig.push(rig.host, 'by-digest:1');
  const { tag: _, ...untagged } = reference;
  await registry.pushManifest(untagged, manifest, bytes, access());
  const named = { ...untagged, digest: manifest.digest };
  assert.equal((await registry.resolve(named, access())).digest, manifest.digest);
});

test('errors name the host, the repository and the status', async () => {
  await using registry = createRegistry({ retry: quick });
  await assert.rejects(registry.resolve(parseReference(`${rig.host}/none:1`), access()), {
    code: 'not_found',
    message: new RegExp(
      `^${rig.host}/none:1: not found .*answered 404 to GET /v2/none/manifests/1: manifest unknown`,
    ),
  });
  await assert.rejects(registry.resolve(parseReference('127.0.0.1:1/app'), access()), {
    code: 'unavailable',
    message: '127.0.0.1:1/app:latest: cannot reach 127.0.0.1:1: connection refused',
  });
});

test('overloaded servers are asked again, and refusals are not', async () => {
  const { manifest } = await rig.push(rig.host, 'busy:1');
  let refusals = 2;
  await using meddler = await rig.startMeddler((incoming, outgoing) => {
    if (incoming.url!.includes('/denied/')) {
      outgoing.writeHead(403).end('{"errors":[{"code":"DENIED","message":"not for you"}]}');
      return true;
    }
    if (refusals-- <= 0) return false;
    outgoing.writeHead(503).end();
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const resolved = await registry.resolve(parseReference(`${meddler.host}/busy:1`), access());
  assert.equal(resolved.digest, manifest.digest);
  const before = meddler.requests.length;
  await assert.rejects(registry.resolve(parseReference(`${meddler.host}/denied/app:1`), access()), {
    code: 'permission_denied',
    message: /answered 403 .*not for you/,
  });
  assert.equal(meddler.requests.length - before, 2);
});

test('bytes that are not what the digest says are refused', async () => {
  const { layer, manifest } = await rig.push(rig.host, 'forged:1');
  await using meddler = await rig.startMeddler((incoming, outgoing) => {
    if (incoming.method !== 'GET') return false;
    outgoing.writeHead(200, { 'content-type': mediaTypes.ociManifest, 'content-length': layer.size });
    outgoing.end(Buffer.alloc(layer.size));
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${meddler.host}/forged:1`);
  const target = await openLocalContentStore(path.join(rig.directory, 'forged'));
  await assert.rejects(registry.fetchBlob(reference, layer, target, access()), { code: 'data_loss' });
  assert.equal(await target.stat(layer.digest), undefined);
  await assert.rejects(registry.fetchManifest(reference, manifest, access()), { code: 'data_loss' });
});

test('a mirror is asked first, and the host itself when the mirror cannot help', async () => {
  const { reference, manifest } = await rig.push(rig.host, 'mirrored:1');
  await using mirror = await rig.startMeddler((incoming, outgoing) => {
    if (incoming.url!.startsWith('/v2/cache/')) outgoing.writeHead(404).end();
    return incoming.url!.startsWith('/v2/cache/');
  });
  await using registry = createRegistry({
    hosts: { [rig.host]: { mirrors: [`${mirror.host}/cache`] } },
    retry: quick,
  });
  assert.equal((await registry.resolve(reference, access())).digest, manifest.digest);
  const asked = new URL(mirror.requests[0]!.url!, 'http://mirror');
  assert.equal(asked.pathname, '/v2/cache/mirrored/manifests/1');
  assert.equal(asked.searchParams.get('ns'), rig.host);
});

test('when neither a mirror nor the host helps, each that was tried is named with its reason', async () => {
  await using mirror = await rig.startMeddler((_, outgoing) => {
    outgoing.writeHead(404).end('{"errors":[{"message":"not here"}]}');
    return true;
  });
  await using registry = createRegistry({
    hosts: { '127.0.0.1:1': { mirrors: ['127.0.0.1:2', `${mirror.host}/cache`] } },
    retry: quick,
  });
  const layer = await rig.blob(Buffer.from('mirrored'), mediaTypes.ociLayer);
  const target = await openLocalContentStore(path.join(rig.directory, 'mirrors'));
  const reference = parseReference('127.0.0.1:1/app:1');
  for (const read of [
    () => registry.resolve(reference, access()),
    () => registry.fetchBlob(reference, layer, target, access()),
  ]) {
    await assert.rejects(read(), ({ code, message }: KilnError) => {
      assert.equal(code, 'unavailable');
      const [host, first, second] = message.split('; ');
      assert.match(host!, /^127.0.0.1:1\/app.*: cannot reach 127.0.0.1:1: connection refused$/);
      assert.match(first!, /^mirror 127.0.0.1:2 failed: .*: cannot reach 127.0.0.1:2: connection refused$/);
      assert.match(
        second!,
        new RegExp(`^mirror ${mirror.host} failed: .*: ${mirror.host} answered 404 .*not here$`),
      );
      return true;
    });
  }
});

test('an aborted pull ends at once and leaves nothing in the store', async () => {
  const { layer } = await rig.push(rig.host, 'aborted:1');
  const stop = new AbortController();
  await using meddler = await rig.startMeddler((incoming, outgoing) => {
    if (!isBlob(incoming)) return false;
    outgoing.writeHead(200, { 'content-length': layer.size });
    outgoing.write(Buffer.alloc(1000), () => stop.abort());
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(rig.directory, 'aborted'));
  const reference = parseReference(`${meddler.host}/aborted:1`);
  const fetching = registry.fetchBlob(reference, layer, target, { signal: stop.signal, auth: anonymousAuth });
  await assert.rejects(fetching, { code: 'canceled' });
  assert.equal(await target.stat(layer.digest), undefined);
});

test('a part of a blob is that part, or the reason why it cannot be had', async () => {
  const { layer } = await rig.push(rig.host, 'parts:1');
  const parts = { offset: 10, length: 100 };
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${rig.host}/parts:1`);
  const target = await openLocalContentStore(path.join(rig.directory, 'parts'));
  await registry.fetchBlob(reference, layer, target, access());
  const bytes = Buffer.from(await target.readAll(layer.digest));
  const part = await registry.readBlob(reference, layer, parts, access());
  assert.ok(Buffer.from(part).equals(bytes.subarray(10, 110)));
  const range = `bytes 10-109/${layer.size}`;
  const answers: readonly (readonly [number, Record<string, string>, Buffer, string])[] = [
    [200, {}, bytes, 'failed_precondition'],
    [
      206,
      { 'content-range': range, 'content-encoding': 'gzip' },
      bytes.subarray(10, 110),
      'failed_precondition',
    ],
    [206, { 'content-range': `bytes 0-99/${layer.size}` }, bytes.subarray(0, 100), 'data_loss'],
    [206, { 'content-range': 'bytes 10-109/5' }, bytes.subarray(10, 110), 'data_loss'],
    [206, { 'content-range': range }, bytes.subarray(10, 60), 'unavailable'],
    [206, { 'content-range': range }, bytes.subarray(10), 'out_of_range'],
    [404, {}, Buffer.alloc(0), 'not_found'],
  ];
  for (const [status, headers, body, code] of answers) {
    await using meddler = await rig.startMeddler((incoming, outgoing) => {
      if (!isBlob(incoming)) return false;
      outgoing.writeHead(status, { ...headers, 'content-length': body.length });
      outgoing.end(body);
      return true;
    });
    const reading = registry.readBlob(parseReference(`${meddler.host}/parts:1`), layer, parts, access());
    await assert.rejects(reading, { code }, `${status} ${JSON.stringify(headers)}`);
  }
});
