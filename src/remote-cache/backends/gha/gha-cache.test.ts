import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { digestOf } from '../../../base/digest.ts';
import type { Attributes } from '../../../base/text/attributes.ts';
import { type Descriptor, mediaTypes } from '../../../oci/descriptor.ts';
import { FaultProxy } from '../../../registry/fault-proxy-rig.ts';
import type { BlobBody } from '../../../registry/registry.ts';
import { cacheBackendSuite } from '../cache-backend-suite.ts';
import { serviceFaultSuite } from '../service-fault-suite.ts';
import { createGhaCache } from './gha-cache.ts';
import { startActionsCache } from './gha-rig.ts';
import { entryVersion } from './gha-service.ts';
import { actionsScopes } from './gha-token.ts';

const rig = await startActionsCache();
after(() => rig[Symbol.asyncDispose]());
const type = createGhaCache({ taken: 200, between: 20 });
let places = 0;

for (const version of ['1', '2']) {
  cacheBackendSuite(`gha ${version}`, async () => {
    const token = rig.token([`suite-${places++}`]);
    return {
      open: (purpose) => type.open({ url: rig.url, url_v2: rig.url, version, token }, purpose),
      sessions: [],
      async [Symbol.asyncDispose]() {},
    };
  });

  serviceFaultSuite(`gha ${version}`, async () => {
    const token = rig.token([`faults-${places++}`]);
    return {
      host: new URL(rig.url).host,
      open(host, scope, purpose) {
        const url = `http://${host}`;
        return type.open({ url, url_v2: url, version, token, scope }, purpose);
      },
      secrets: [token],
    };
  });
}

const access = { signal: AbortSignal.timeout(60_000), sessions: [] };

function blobOf(text: string): { readonly blob: Descriptor; readonly body: BlobBody } {
  const data = Buffer.from(text);
  async function* pieces() {
    yield data;
  }
  const blob = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(data), size: data.length };
  return { blob, body: { open: async () => pieces() } };
}

for (const version of ['1', '2']) {
  test(`gha ${version}: each version of a document gets a number, and imports read those of all scopes`, async () => {
    await using own = await startActionsCache();
    const options = (...scopes: string[]) => ({
      url: own.url,
      url_v2: own.url,
      version,
      token: own.token(scopes),
    });
    const write = async (scope: string, text: string) => {
      const backend = type.open(options(scope), 'export');
      const bytes = Buffer.from(text);
      await backend.writeDocument(backend.names[0]!, { descriptor: blobOf(text).blob, bytes }, access);
    };
    await write('refs/heads/main', 'one');
    await write('refs/heads/main', 'two');
    await write('refs/pull/1', 'three');
    const key = (scope: string) => `index-buildkit-1-${sha256(scope).slice(0, 8)}`;
    assert.deepEqual(own.keys, [
      `${key('refs/heads/main')}#1`,
      `${key('refs/heads/main')}#2`,
      `${key('refs/pull/1')}#1`,
    ]);
    const reader = type.open(options('refs/heads/main', 'refs/pull/1'), 'import');
    const texts = reader.names.map(async (name) => {
      const document = await reader.readDocument(name, undefined, access);
      assert.ok(document && document !== 'unchanged');
      return Buffer.from(document.bytes).toString();
    });
    assert.deepEqual(await Promise.all(texts), ['two', 'three']);
  });

  test(`gha ${version}: a service that gives no key to anybody is given up`, async () => {
    await using own = await startActionsCache();
    await using proxy = await FaultProxy.start(new URL(own.url).host, ({ method, url = '' }) =>
      method === 'POST' && /\/(caches|CreateCacheEntry)$/.test(url)
        ? { kind: 'status', status: 409 }
        : undefined,
    );
    const url = `http://${proxy.host}`;
    const backend = type.open({ url, url_v2: url, version, token: own.token() }, 'export');
    const { blob, body } = blobOf('layer');
    const short = { ...access, signal: AbortSignal.timeout(10_000) };
    await assert.rejects(backend.writeBlob(blob, body, short), {
      code: 'unavailable',
      message: /are all taken/,
    });
    const bytes = Buffer.from('document');
    const document = { descriptor: blob, bytes };
    await assert.rejects(backend.writeDocument(backend.names[0]!, document, short), {
      code: 'unavailable',
      message: /are all taken/,
    });
  });

  test(`gha ${version}: a key that a killed job has taken is left to it`, async () => {
    await using own = await startActionsCache();
    const token = own.token();
    const backend = type.open({ url: own.url, url_v2: own.url, version, token }, 'export');
    const { blob, body } = blobOf('layer');
    own.takeKey(`buildkit-blob-1-${blob.digest}`, entryVersion);
    own.takeKey(`${backend.names[0]}#1`, entryVersion);
    await backend.writeBlob(blob, body, access);
    assert.equal(await backend.hasBlob(blob, access), true);
    const bytes = Buffer.from('document');
    await backend.writeDocument(backend.names[0]!, { descriptor: blob, bytes }, access);
    assert.deepEqual(own.keys, [`buildkit-blob-1-${blob.digest}#1`, `${backend.names[0]}#2`]);
  });
}

test('gha: with a token for it, the blobs of a repository are listed once', async () => {
  await using own = await startActionsCache();
  await using proxy = await FaultProxy.start(new URL(own.url).host, () => undefined);
  const token = own.token();
  const attributes = { url: `http://${proxy.host}`, token, repository: 'owner/name', ghtoken: token };
  process.env.GITHUB_API_URL = `http://${proxy.host}`;
  try {
    const blobs = Array.from({ length: 120 }, (_, index) => blobOf(`layer ${index}`));
    const writer = type.open(attributes, 'export');
    await Promise.all(blobs.map(({ blob, body }) => writer.writeBlob(blob, body, access)));
    proxy.requests.length = 0;
    const reader = type.open(attributes, 'export');
    const found = await Promise.all(blobs.map(({ blob }) => reader.hasBlob(blob, access)));
    assert.ok(found.every(Boolean));
    assert.equal(await reader.hasBlob(blobOf('another').blob, access), false);
    assert.deepEqual(
      proxy.requests.map(({ url }) => new URL(url, own.url).searchParams.get('page')),
      ['1', '2'],
    );
  } finally {
    delete process.env.GITHUB_API_URL;
  }
});

test('gha: which service is spoken to follows from its addresses', () => {
  const token = rig.token();
  const place = (options: Attributes) => type.open({ token, ...options }, 'import').place;
  const [first, second] = ['https://one.example/abc/', 'https://two.example/'];
  assert.match(place({ url: first, url_v2: second }), /two\.example/);
  assert.match(place({ url: first, url_v2: second, version: '1' }), /one\.example\/abc$/);
  assert.match(place({ url: first, version: '2' }), /one\.example/);
  const wrong: readonly (readonly [Attributes, RegExp])[] = [
    [{}, /^url not set for github actions cache$/],
    [{ url: first, token: '' }, /^token not set for github actions cache$/],
    [{ url: first, token: 'a.b.c' }, /^invalid token that is no web token/],
    [{ url: first, version: 'two' }, /^version of github actions cache is no number/],
    [{ url: first, timeout: 'long' }, /^failed to parse timeout/],
    [{ url: first, scope: 'a,b' }, /^scope of github actions cache has a comma/],
    [{ url: first, repository: '../x/y' }, /^repository of github actions cache/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => place(options), { code: 'invalid_argument', message });
  }
});

test('gha: tokens say what they give access to, and until when', () => {
  const tokenOf = (claims: unknown) =>
    ['{}', JSON.stringify(claims), ''].map((part) => Buffer.from(part).toString('base64url')).join('.');
  const ac = JSON.stringify([
    { Scope: 'a', Permission: 1 },
    { Scope: 'b', Permission: 3 },
  ]);
  assert.deepEqual(actionsScopes(tokenOf({ ac, nbf: 0, exp: 10 }), 5000), [
    { name: 'a', writable: false },
    { name: 'b', writable: true },
  ]);
  assert.throws(() => actionsScopes(tokenOf({ ac, nbf: 0, exp: 10 }), 11_000), { code: 'unauthenticated' });
  assert.throws(() => actionsScopes(tokenOf({ ac, nbf: 10, exp: 20 }), 5000), { code: 'unauthenticated' });
  for (const claims of [
    null,
    [],
    {},
    { ac: 1 },
    { ac: '{}', nbf: 0, exp: 10 },
    { ac: '[null]', nbf: 0, exp: 10 },
  ]) {
    assert.throws(() => actionsScopes(tokenOf(claims), 5000), { code: 'invalid_argument' });
  }
});

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
