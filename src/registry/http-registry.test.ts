import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import type { KilnError } from '../base/errors.ts';
import { type ContentStore, writeBlob } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { HttpRig } from '../http/http-rig.ts';
import { type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import { encodeManifest } from '../oci/manifest.ts';
import { parseReference } from '../oci/reference.ts';
import { createRegistry } from './http-registry.ts';
import { anonymousAuth, type RegistryAuth, type RegistryContext } from './registry.ts';
import { type RegistryRig, startRegistry } from './registry-rig.ts';

/** `htpasswd` of user `kiln`, password `secret`. */
const htpasswd = 'kiln:$2b$04$DtsZWD1hwJjPV2183yNLNOh.afvyJhnss7GVUtfRCJnYmAYjsCw7y\n';
const quick = { attempts: 4, firstDelay: 1 };

let rig: RegistryRig;
let directory: string;
let store: ContentStore;
let fresh: ContentStore;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'kiln-registry-test-'));
  store = await openLocalContentStore(path.join(directory, 'store'));
  fresh = await openLocalContentStore(path.join(directory, 'fresh'));
  rig = await startRegistry();
});

after(async () => {
  await rig[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const access = (auth: RegistryAuth = anonymousAuth): RegistryContext => ({
  signal: AbortSignal.timeout(30_000),
  auth,
});

async function blob(bytes: Uint8Array, mediaType: string): Promise<Descriptor> {
  return { ...(await writeBlob(store, bytes)), mediaType };
}

const bodyOf = (descriptor: Descriptor) => ({ open: async () => store.read(descriptor.digest) });

async function makeImage() {
  const layer = await blob(randomBytes(300_000), mediaTypes.ociLayer);
  const config = await blob(Buffer.from('{}'), mediaTypes.ociConfig);
  const bytes = encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [layer],
  });
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  return { layer, config, manifest, bytes };
}

async function push(host: string, name: string, auth?: RegistryAuth) {
  await using registry = createRegistry({ retry: quick });
  const image = await makeImage();
  const reference = parseReference(`${host}/${name}`);
  for (const each of [image.layer, image.config]) {
    assert.equal(await registry.pushBlob(reference, each, bodyOf(each), access(auth)), 'uploaded');
  }
  await registry.pushManifest(reference, image.manifest, image.bytes, access(auth));
  return { ...image, reference };
}

test('what was pushed can be resolved and pulled again', async () => {
  await using registry = createRegistry();
  const { reference, manifest, bytes, layer } = await push(rig.host, 'round/trip:1');
  const resolved = await registry.resolve(reference, access());
  assert.deepEqual(resolved, manifest);
  assert.deepEqual(
    Buffer.from(await registry.fetchManifest(reference, resolved, access())),
    Buffer.from(bytes),
  );
  const seen: number[] = [];
  await registry.fetchBlob(reference, layer, fresh, { ...access(), onProgress: (count) => seen.push(count) });
  assert.equal((await fresh.stat(layer.digest))?.size, layer.size);
  assert.equal(seen.at(-1), layer.size);
});

test('a blob that exists is not sent again, and one of another repository is mounted', async () => {
  await using registry = createRegistry();
  const { reference, layer } = await push(rig.host, 'first:1');
  const never = { open: () => assert.fail('the blob was opened') };
  assert.equal(await registry.pushBlob(reference, layer, never, access()), 'exists');
  const other = parseReference(`${rig.host}/second`);
  const mounting = { ...access(), mountFrom: ['first'] };
  assert.equal(await registry.pushBlob(other, layer, never, mounting), 'mounted');
});

test('a manifest without a tag is pushed under its digest alone', async () => {
  await using registry = createRegistry();
  const { reference, manifest, bytes } = await push(rig.host, 'by-digest:1');
  const { tag: _, ...untagged } = reference;
  await registry.pushManifest(untagged, manifest, bytes, access());
  const named = { ...untagged, digest: manifest.digest };
  assert.equal((await registry.resolve(named, access())).digest, manifest.digest);
});

test('basic authentication is answered, and without credentials the error says what to do', async () => {
  await using secured = await startRegistry({ htpasswd });
  const auth: RegistryAuth = {
    ...anonymousAuth,
    identity: 'somebody',
    credentials: async (host) => (host === secured.host ? { username: 'kiln', secret: 'secret' } : undefined),
  };
  const { reference, manifest } = await push(secured.host, 'private:1', auth);
  await using registry = createRegistry({ retry: quick });
  assert.equal((await registry.resolve(reference, access(auth))).digest, manifest.digest);
  await assert.rejects(
    registry.resolve(reference, access()),
    (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, 'unauthenticated');
      assert.match(error.message, new RegExp(`${secured.host}/private:1: pull access denied.*answered 401`));
      assert.equal(error.hint.includes(`docker login ${secured.host}`), true);
      return true;
    },
  );
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

/** A server in front of the real registry that can misbehave first. `meddle` returns true when it has dealt with the request. */
async function startMeddler(
  meddle: (incoming: IncomingMessage, outgoing: ServerResponse, host: string) => boolean,
): Promise<{ readonly host: string; readonly requests: IncomingMessage[] } & AsyncDisposable> {
  const requests: IncomingMessage[] = [];
  const server = await HttpRig.start({
    otherwise(incoming, outgoing) {
      requests.push(incoming);
      if (meddle(incoming, outgoing, server.host)) return;
      const [hostname, port] = rig.host.split(':');
      const headers = { ...incoming.headers, host: server.host };
      const forwarded = request(
        { hostname, port, method: incoming.method, path: incoming.url, headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(outgoing);
        },
      );
      incoming.pipe(forwarded);
    },
  });
  return { host: server.host, requests, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const isBlob = ({ method, url }: IncomingMessage) => method === 'GET' && /\/blobs\//.test(url!);

test('a transfer that breaks is resumed where it broke', async () => {
  const { layer } = await push(rig.host, 'resumed:1');
  const bytes = await store.readAll(layer.digest);
  const starts: number[] = [];
  await using meddler = await startMeddler((incoming, outgoing) => {
    if (!isBlob(incoming) || starts.length >= 2) return false;
    const start = Number(/bytes=(\d+)-/.exec(incoming.headers.range ?? '')?.[1] ?? 0);
    starts.push(start);
    outgoing.writeHead(start === 0 ? 200 : 206, { 'content-length': layer.size - start });
    outgoing.write(bytes.subarray(start, start + 100_000), () => setImmediate(() => outgoing.destroy()));
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(directory, 'resumed'));
  await registry.fetchBlob(parseReference(`${meddler.host}/resumed:1`), layer, target, access());
  const [first, second] = starts;
  assert.equal(first, 0);
  // What was on its way when the connection broke may be lost.
  assert.ok(second! > 0 && second! <= 100_000, `resumed at ${second}`);
  assert.equal(digestOf(await target.readAll(layer.digest)), layer.digest);
});

test('a server that ignores ranges is read from the start without mixing up bytes', async () => {
  const { layer } = await push(rig.host, 'ignored:1');
  const bytes = await store.readAll(layer.digest);
  let asked = 0;
  await using meddler = await startMeddler((incoming, outgoing) => {
    if (!isBlob(incoming)) return false;
    outgoing.writeHead(200, { 'content-length': layer.size });
    if (asked++ === 0)
      outgoing.write(bytes.subarray(0, 70_000), () => setImmediate(() => outgoing.destroy()));
    else outgoing.end(bytes);
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(directory, 'ignored'));
  await registry.fetchBlob(parseReference(`${meddler.host}/ignored:1`), layer, target, access());
  assert.equal(asked, 2);
  assert.equal(digestOf(await target.readAll(layer.digest)), layer.digest);
});

test('overloaded servers are asked again, and refusals are not', async () => {
  const { manifest } = await push(rig.host, 'busy:1');
  let refusals = 2;
  await using meddler = await startMeddler((incoming, outgoing) => {
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

test('a registry may close the connection as soon as it has sent everything, however slow the reader is', async () => {
  const layer = await blob(randomBytes(3 * 1024 * 1024), mediaTypes.ociLayer);
  const bytes = await store.readAll(layer.digest);
  await using meddler = await startMeddler(({ socket }) => {
    socket.write(`HTTP/1.0 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`);
    socket.end(bytes);
    return true;
  });
  const reference = parseReference(`${meddler.host}/closing:1`);
  for (let turn = 0; turn < 20; turn++) {
    await using registry = createRegistry({ retry: quick });
    const target = await openLocalContentStore(path.join(directory, `closing-${turn}`));
    await registry.fetchBlob(reference, layer, target, access());
    assert.equal((await target.stat(layer.digest))?.size, layer.size);
  }
});

test('a registry that refuses an upload before it has read it says why', async () => {
  const layer = await blob(randomBytes(8 * 1024 * 1024), mediaTypes.ociLayer);
  await using meddler = await startMeddler((incoming, outgoing) => {
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
    await assert.rejects(registry.pushBlob(reference, layer, bodyOf(layer), access()), {
      code,
      message: /answered 4\d\d to PUT .*not this one/,
    });
  }
});

test('bytes that are not what the digest says are refused', async () => {
  const { layer, manifest } = await push(rig.host, 'forged:1');
  await using meddler = await startMeddler((incoming, outgoing) => {
    if (incoming.method !== 'GET') return false;
    outgoing.writeHead(200, { 'content-type': mediaTypes.ociManifest, 'content-length': layer.size });
    outgoing.end(Buffer.alloc(layer.size));
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${meddler.host}/forged:1`);
  const target = await openLocalContentStore(path.join(directory, 'forged'));
  await assert.rejects(registry.fetchBlob(reference, layer, target, access()), { code: 'data_loss' });
  assert.equal(await target.stat(layer.digest), undefined);
  await assert.rejects(registry.fetchManifest(reference, manifest, access()), { code: 'data_loss' });
});

test('bearer tokens are fetched once per client and repository, and stay with the registry on redirects', async () => {
  const { layer, manifest } = await push(rig.host, 'tokens:1');
  const tokenRequests: URL[] = [];
  const storageRequests: IncomingMessage[] = [];
  await using storage = await startMeddler((incoming) => {
    storageRequests.push(incoming);
    return false;
  });
  await using meddler = await startMeddler((incoming, outgoing, host) => {
    const url = new URL(incoming.url!, `http://${host}`);
    if (url.pathname === '/token') {
      tokenRequests.push(url);
      const user = Buffer.from(
        (incoming.headers.authorization ?? '').replace('Basic ', ''),
        'base64',
      ).toString();
      outgoing.end(JSON.stringify({ token: `token-of-${user.split(':')[0]}`, expires_in: 300 }));
      return true;
    }
    if (!incoming.headers.authorization?.startsWith('Bearer token-of-')) {
      const challenge = `Bearer realm="http://${host}/token",service="test",scope="repository:tokens:pull"`;
      outgoing.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    }
    if (!isBlob(incoming)) return false;
    outgoing.writeHead(307, { location: `http://${storage.host}${incoming.url}` }).end();
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${meddler.host}/tokens:1`);
  const auth = (name: string): RegistryAuth => ({
    ...anonymousAuth,
    identity: name,
    credentials: async () => ({ username: name, secret: 'x' }),
  });
  const target = await openLocalContentStore(path.join(directory, 'tokens'));
  assert.equal((await registry.resolve(reference, access(auth('ann')))).digest, manifest.digest);
  await registry.fetchBlob(reference, layer, target, access(auth('ann')));
  assert.equal(tokenRequests.length, 1);
  assert.deepEqual(tokenRequests[0]!.searchParams.getAll('scope'), ['repository:tokens:pull']);
  assert.equal(tokenRequests[0]!.searchParams.get('account'), 'ann');
  assert.equal(storageRequests.length, 1);
  assert.equal(storageRequests[0]!.headers.authorization, undefined);
  await registry.resolve(reference, access(auth('bob')));
  assert.equal(tokenRequests.length, 2);
});

test('a token that the client fetched itself is used instead of credentials', async () => {
  const { manifest } = await push(rig.host, 'delegated:1');
  await using meddler = await startMeddler((incoming, outgoing, host) => {
    if (incoming.headers.authorization === 'Bearer from-client') return false;
    outgoing.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="s"` }).end();
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const auth: RegistryAuth = {
    identity: 'client',
    credentials: () => assert.fail('credentials were asked for'),
    token: async (asked) => {
      assert.deepEqual(asked.scopes, ['repository:delegated:pull']);
      return { token: 'from-client', expiresIn: 60 };
    },
  };
  const resolved = await registry.resolve(parseReference(`${meddler.host}/delegated:1`), access(auth));
  assert.equal(resolved.digest, manifest.digest);
});

test('a mirror is asked first, and the host itself when the mirror cannot help', async () => {
  const { reference, manifest } = await push(rig.host, 'mirrored:1');
  await using mirror = await startMeddler((incoming, outgoing) => {
    if (incoming.url!.startsWith('/v2/cache/')) outgoing.writeHead(404).end();
    return incoming.url!.startsWith('/v2/cache/');
  });
  await using registry = createRegistry({
    hosts: { [rig.host]: { mirrors: [`${mirror.host}/cache`] } },
    retry: quick,
  });
  assert.equal((await registry.resolve(reference, access())).digest, manifest.digest);
  assert.equal(mirror.requests[0]!.url, '/v2/cache/mirrored/manifests/1');
});

test('when neither a mirror nor the host helps, each that was tried is named with its reason', async () => {
  await using mirror = await startMeddler((_, outgoing) => {
    outgoing.writeHead(404).end('{"errors":[{"message":"not here"}]}');
    return true;
  });
  await using registry = createRegistry({
    hosts: { '127.0.0.1:1': { mirrors: ['127.0.0.1:2', `${mirror.host}/cache`] } },
    retry: quick,
  });
  const layer = await blob(Buffer.from('mirrored'), mediaTypes.ociLayer);
  const target = await openLocalContentStore(path.join(directory, 'mirrors'));
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
  const { layer } = await push(rig.host, 'aborted:1');
  const stop = new AbortController();
  await using meddler = await startMeddler((incoming, outgoing) => {
    if (!isBlob(incoming)) return false;
    outgoing.writeHead(200, { 'content-length': layer.size });
    outgoing.write(Buffer.alloc(1000), () => stop.abort());
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const target = await openLocalContentStore(path.join(directory, 'aborted'));
  const reference = parseReference(`${meddler.host}/aborted:1`);
  const fetching = registry.fetchBlob(reference, layer, target, { signal: stop.signal, auth: anonymousAuth });
  await assert.rejects(fetching, { code: 'canceled' });
  assert.equal(await target.stat(layer.digest), undefined);
});
