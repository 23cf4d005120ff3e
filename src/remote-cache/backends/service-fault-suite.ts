import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { digestOf } from '../../base/digest.ts';
import { asKilnError } from '../../base/errors.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { type Fault, FaultProxy } from '../../registry/fault-proxy-rig.ts';
import type { CacheBackend, CachePurpose } from '../cache-backend.ts';

/** A service, and how caches are opened that reach it by another address. */
export interface ServiceFixture {
  /** `host:port`. */
  readonly host: string;
  /** Opens a place of this test by way of `host`. */
  open(host: string, place: string, purpose: CachePurpose): CacheBackend;
  /** What must never be said. */
  readonly secrets: readonly string[];
}

/** Larger than what is sent by one request. */
const size = 9_000_000;

/** Tests that caches of a service come through its failures; the test file of each runs it. */
export function serviceFaultSuite(name: string, start: () => Promise<ServiceFixture>): void {
  const temporary = temporaryDirectories();

  /** Stores a blob and a document, and reads them on another machine, while requests go wrong as `choose` says. */
  async function roundTrip(
    place: string,
    choose: (request: IncomingMessage, count: number) => Fault | undefined,
  ) {
    const service = await start();
    await using proxy = await FaultProxy.start(service.host, choose);
    const data = randomBytes(size);
    const blob: Descriptor = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(data), size };
    const access = { signal: AbortSignal.timeout(60_000), sessions: [] };
    async function* pieces() {
      for (let at = 0; at < size; at += 100_000) yield data.subarray(at, at + 100_000);
    }
    const writer = service.open(proxy.host, place, 'export');
    assert.equal(await writer.hasBlob(blob, access), false);
    await writer.writeBlob(blob, { open: async () => pieces() }, access);
    const bytes = Buffer.from('{"layers": []}');
    const descriptor = { mediaType: 'application/json', digest: digestOf(bytes), size: bytes.length };
    await writer.writeDocument(writer.names[0]!, { descriptor, bytes }, access);

    const reader = service.open(proxy.host, place, 'import');
    const document = await reader.readDocument(reader.names[0]!, undefined, access);
    assert.ok(document && document !== 'unchanged');
    assert.deepEqual(Buffer.from(document.bytes), bytes);
    const store = await openLocalContentStore(temporary());
    await reader.fetchBlob(blob, store, access);
    assert.ok(Buffer.from(await store.readAll(blob.digest)).equals(data));
    return proxy.requests;
  }

  test(`${name}: what a server refuses for a moment is asked again when it says so`, async () => {
    const refused = new Set<string>();
    const requests = await roundTrip('moment', ({ method, url }, count) => {
      const request = `${method} ${url}`;
      if (count % 3 !== 0 || refused.has(request)) return undefined;
      refused.add(request);
      return refused.size % 2 === 0
        ? { kind: 'status', status: 429, headers: { 'retry-after': '1' } }
        : { kind: 'status', status: 503 };
    });
    assert.ok(refused.size > 1);
    for (const request of refused) {
      const times = requests.filter(({ method, url }) => `${method} ${url}` === request).length;
      assert.ok(times > 1, `${request} was sent once`);
    }
  });

  test(`${name}: a blob whose transfer breaks off is brought from there on`, async () => {
    let cuts = 0;
    const requests = await roundTrip('cut', ({ method, url = '' }) => {
      if (method !== 'GET' || cuts === 3 || !/\/(blobs|storage)\//.test(url)) return undefined;
      cuts++;
      return { kind: 'cut', after: 2_000_000 };
    });
    assert.equal(cuts, 3);
    const ranges = requests.map(({ headers }) => String(headers.range ?? headers['x-ms-range']));
    assert.ok(ranges.some((range) => /^bytes=\d{7}/.test(range)));
  });

  test(`${name}: an upload that breaks off is sent again`, async () => {
    let resets = 0;
    await roundTrip('reset', ({ method, headers }) => {
      const large = Number(headers['content-length'] ?? 0) > 1_000_000;
      if (!large || (method !== 'PUT' && method !== 'PATCH') || resets === 2) return undefined;
      resets++;
      return { kind: 'reset', after: 500_000 };
    });
    assert.equal(resets, 2);
  });

  test(`${name}: a refusal says what was asked for, and no secret`, async () => {
    const service = await start();
    await using proxy = await FaultProxy.start(service.host, ({ headers }) => ({
      kind: 'status',
      status: 403,
      body: `<Error><Code>AccessDenied</Code><Message>not allowed</Message></Error>${headers.host}`,
    }));
    const backend = service.open(proxy.host, 'refused', 'export');
    const access = { signal: AbortSignal.timeout(10_000), sessions: [] };
    const bytes = Buffer.from('x');
    const blob = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(bytes), size: 1 };
    const failures = await Promise.allSettled([
      backend.hasBlob(blob, access),
      backend.readDocument(backend.names[0]!, undefined, access),
      backend.writeDocument(backend.names[0]!, { descriptor: blob, bytes }, access),
    ]);
    for (const failure of failures) {
      assert.equal(failure.status, 'rejected');
      const error = asKilnError(failure.reason);
      assert.equal(error.code, 'permission_denied', error.message);
      assert.ok(error.message.includes(proxy.host));
      const everything = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
      for (const secret of service.secrets) assert.ok(!everything.includes(secret));
    }
  });
}
