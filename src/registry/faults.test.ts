import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import type { KilnError } from '../base/errors.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import { encodeManifest } from '../oci/manifest.ts';
import { parseReference } from '../oci/reference.ts';
import { type Fault, FaultProxy } from './fault-proxy-rig.ts';
import { createRegistry } from './http-registry.ts';
import { access, isBlob, openPushRig, type PushedImage, type PushRig, quick } from './push-rig.ts';
import { missingFromRepositories } from './whole-repositories-rig.ts';

let rig: PushRig;
let image: PushedImage;
before(async () => {
  rig = await openPushRig();
  image = await rig.push(rig.host, 'faults:1');
});
after(() => rig[Symbol.asyncDispose]());

/** Pulls everything of the image through a proxy. The blob is the right one, or there is none. */
async function pull(proxy: FaultProxy, turn: string): Promise<void> {
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${proxy.host}/faults:1`);
  const target = await openLocalContentStore(path.join(rig.directory, turn));
  try {
    const resolved = await registry.resolve(reference, access());
    assert.equal(resolved.digest, image.manifest.digest);
    const bytes = await registry.fetchManifest(reference, resolved, access());
    assert.equal(digestOf(bytes), image.manifest.digest);
    await registry.fetchBlob(reference, image.layer, target, access());
    assert.equal(digestOf(await target.readAll(image.layer.digest)), image.layer.digest);
  } catch (error) {
    assert.equal(await target.stat(image.layer.digest), undefined);
    throw error;
  }
}

async function push(proxy: FaultProxy, name: string): Promise<void> {
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${proxy.host}/${name}:1`);
  const layer = await rig.blob(randomBytes(2_000_000), mediaTypes.ociLayer);
  const config = await rig.blob(Buffer.from(JSON.stringify({ author: name })), mediaTypes.ociConfig);
  const mediaType = mediaTypes.ociManifest;
  const bytes = encodeManifest({ kind: 'manifest', mediaType, config, layers: [layer] });
  const manifest: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  for (const each of [layer, config]) {
    await registry.pushBlob(reference, each, rig.bodyOf(each), access());
  }
  await registry.pushManifest(reference, manifest, bytes, access());
  const pushed = parseReference(`${rig.host}/${name}:1`);
  assert.equal((await registry.resolve(pushed, access())).digest, manifest.digest);
}

const passing: Readonly<Record<string, Fault>> = {
  delays: { kind: 'delay', milliseconds: 100 },
  'too many requests': { kind: 'status', status: 429, headers: { 'retry-after': '0' } },
  'failing servers': { kind: 'status', status: 500, body: 'oops' },
  'bad gateways': { kind: 'status', status: 502, body: '<html>bad gateway</html>' },
  'resets before anything came': { kind: 'reset', after: 0 },
  'resets in the middle': { kind: 'reset', after: 100_000 },
  'cut answers': { kind: 'cut', after: 50 },
};

for (const [name, fault] of Object.entries(passing)) {
  test(`pulls and pushes get through ${name}, twice at each kind of request`, async () => {
    const seen = new Map<string, number>();
    await using proxy = await FaultProxy.start(rig.host, ({ method, url }) => {
      const kind = `${method} ${/\/(blobs\/uploads|blobs|manifests)\//.exec(url!)?.[1]}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      return seen.get(kind)! <= 2 ? fault : undefined;
    });
    await pull(proxy, `pull ${name}`);
    await push(proxy, `push/${name.replaceAll(' ', '-')}`);
    assert.deepEqual(await missingFromRepositories(rig.storage), []);
  });
}

const lasting: Readonly<
  Record<string, { readonly fault: Fault; readonly code: string; readonly why: RegExp }>
> = {
  'wrong bytes': { fault: { kind: 'flip', at: 100 }, code: 'data_loss', why: /another digest|sent manifest/ },
  'more bytes than there are': {
    fault: { kind: 'length', by: 10 },
    code: 'data_loss',
    why: /bytes|sent manifest/,
  },
  'fewer bytes than there are': {
    fault: { kind: 'length', by: -10 },
    code: 'data_loss',
    why: /bytes|sent manifest/,
  },
  'a failing server': {
    fault: { kind: 'status', status: 503, body: 'down for repair' },
    code: 'unavailable',
    why: /answered 503 .*down for repair/,
  },
  'a server that wants to be left alone for an hour': {
    fault: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } },
    code: 'unavailable',
    why: /answered 429 .*to be tried again in 3600 s/,
  },
  'connections that break': { fault: { kind: 'reset', after: 0 }, code: 'unavailable', why: /connection/ },
};

for (const [name, { fault, code, why }] of Object.entries(lasting)) {
  test(`${name} end a pull with the host and the reason, and nothing is kept`, async () => {
    for (const [index, concerns] of [isBlob, isManifest].entries()) {
      await using proxy = await FaultProxy.start(rig.host, (request) =>
        concerns(request) ? fault : undefined,
      );
      await assert.rejects(pull(proxy, `lasting ${name} ${index}`), (error: KilnError) => {
        assert.equal(error.code, code, error.message);
        assert.ok(error.message.includes(proxy.host), error.message);
        assert.match(error.message, why);
        return true;
      });
    }
  });
}

function isManifest({ method, url = '' }: IncomingMessage): boolean {
  return method === 'GET' && url.includes(`/manifests/${image.manifest.digest}`);
}

test('a server that says when to come back is not asked earlier', async () => {
  let refusedAt = 0;
  let askedAfter = 0;
  await using proxy = await FaultProxy.start(rig.host, () => {
    if (refusedAt === 0) {
      refusedAt = performance.now();
      return { kind: 'status', status: 429, headers: { 'retry-after': '1' } };
    }
    if (askedAfter === 0) askedAfter = performance.now() - refusedAt;
    return undefined;
  });
  await pull(proxy, 'later');
  assert.ok(askedAfter >= 990, `asked after ${askedAfter} ms`);
});

test('mirrors that fail in every way are passed over in turn, and what they sent is not mixed up', async () => {
  const failing: Fault[] = [
    { kind: 'status', status: 404 },
    { kind: 'cut', after: 1000 },
    { kind: 'flip', at: 5 },
    { kind: 'length', by: 7 },
  ];
  await using stack = new AsyncDisposableStack();
  const proxies: FaultProxy[] = [];
  for (const fault of failing) {
    const always = (request: IncomingMessage) => (isBlob(request) ? fault : undefined);
    proxies.push(stack.use(await FaultProxy.start(rig.host, always)));
  }
  const orders = [proxies, proxies.toReversed(), [...proxies.slice(2), ...proxies.slice(0, 2)]];
  for (const [index, order] of orders.entries()) {
    await using registry = createRegistry({
      retry: quick,
      hosts: { [rig.host]: { mirrors: order.map(({ host }) => host) } },
    });
    const target = await openLocalContentStore(path.join(rig.directory, `mirrors-${index}`));
    await registry.fetchBlob(image.reference, image.layer, target, access());
    assert.equal(digestOf(await target.readAll(image.layer.digest)), image.layer.digest);
    for (const proxy of order) {
      assert.ok(proxy.requests.some(({ url }) => url.includes(`/blobs/${image.layer.digest}`)));
    }
  }
});

test('a silent registry holds up nothing once the caller has gone', async () => {
  const stop = new AbortController();
  await using proxy = await FaultProxy.start(rig.host, () => {
    setImmediate(() => stop.abort());
    return { kind: 'silence' };
  });
  await using registry = createRegistry({ retry: quick });
  const context = { ...access(), signal: stop.signal };
  await assert.rejects(registry.resolve(parseReference(`${proxy.host}/faults:1`), context), {
    code: 'canceled',
  });
});
