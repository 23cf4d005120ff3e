import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { digestOf } from '../../../base/digest.ts';
import { type Descriptor, mediaTypes } from '../../../oci/descriptor.ts';
import { FaultProxy } from '../../../registry/fault-proxy-rig.ts';
import type { BlobBody } from '../../../registry/registry.ts';
import { cacheBackendSuite } from '../cache-backend-suite.ts';
import { serviceFaultSuite } from '../service-fault-suite.ts';
import { s3Cache } from './s3-cache.ts';
import { startS3 } from './s3-rig.ts';

const rig = await startS3();
after(() => rig[Symbol.asyncDispose]());
const attributes = {
  bucket: rig.bucket,
  region: 'eu-west-1',
  endpoint_url: rig.url,
  use_path_style: 'true',
  access_key_id: rig.accessKeyId,
  secret_access_key: rig.secretAccessKey,
};
let places = 0;

cacheBackendSuite('s3', async () => {
  const prefix = `suite-${places++}/`;
  return {
    open: (purpose) => s3Cache.open({ ...attributes, prefix }, purpose),
    sessions: [],
    async [Symbol.asyncDispose]() {},
  };
});

serviceFaultSuite('s3', async () => ({
  host: new URL(rig.url).host,
  open: (host, place, purpose) =>
    s3Cache.open({ ...attributes, endpoint_url: `http://${host}`, prefix: `${place}/` }, purpose),
  secrets: [rig.secretAccessKey],
}));

const access = { signal: AbortSignal.timeout(60_000), sessions: [] };

function blobOf(text: string): { readonly blob: Descriptor; readonly body: BlobBody } {
  const data = Buffer.from(text);
  async function* pieces() {
    yield data;
  }
  const blob = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(data), size: data.length };
  return { blob, body: { open: async () => pieces() } };
}

test('s3: objects are where BuildKit has them, each name has its document, and imports read the first', async () => {
  await using proxy = await FaultProxy.start(new URL(rig.url).host, () => undefined);
  const named = { ...attributes, endpoint_url: `http://${proxy.host}`, name: 'a;b' };
  const places = { prefix: 'p/', blobs_prefix: 'x-', manifests_prefix: 'm/' };
  const { blob, body } = blobOf('layer');
  const exported = s3Cache.open({ ...named, ...places }, 'export');
  await exported.writeBlob(blob, body, access);
  const document = { descriptor: blob, bytes: Buffer.from('{}') };
  for (const name of exported.names) await exported.writeDocument(name, document, access);
  const written = proxy.requests.map(({ url }) => decodeURIComponent(url.split('?')[0]!));
  assert.deepEqual(written, [`/caches/p/x-${blob.digest}`, '/caches/p/m/a', '/caches/p/m/b']);
  assert.deepEqual(s3Cache.open(named, 'import').names, ['a']);
});

test('s3: a blob that is used again after a while gets a fresh date, without being sent', async () => {
  await using proxy = await FaultProxy.start(new URL(rig.url).host, () => undefined);
  const prefix = 'touch m\u00e9/';
  const options = { ...attributes, endpoint_url: `http://${proxy.host}`, prefix };
  const { blob, body } = blobOf('touched');
  await s3Cache.open(options, 'export').writeBlob(blob, body, access);
  const copies = () => proxy.requests.filter(({ headers }) => headers['x-amz-copy-source'] !== undefined);
  assert.equal(await s3Cache.open(options, 'export').hasBlob(blob, access), true);
  assert.equal(copies().length, 0);
  assert.equal(
    await s3Cache.open({ ...options, touch_refresh: '1ms' }, 'export').hasBlob(blob, access),
    true,
  );
  assert.equal(copies().length, 1);
  assert.equal(await s3Cache.open(options, 'import').hasBlob(blob, access), true);
});

test('s3: a bucket that does not exist is an error, a host that does not exist says so', async () => {
  const lost = s3Cache.open({ ...attributes, bucket: 'lost' }, 'import');
  await assert.rejects(
    lost.readDocument('buildkit', undefined, access),
    /s3:\/\/lost\/manifests\/buildkit.*NoSuchBucket/,
  );
  const nowhere = s3Cache.open({ ...attributes, endpoint_url: 'http://nowhere.invalid:9000' }, 'export');
  await assert.rejects(
    nowhere.hasBlob(blobOf('x').blob, access),
    /dial tcp: lookup nowhere\.invalid.*no such host/,
  );
});

test('s3: wrong options are refused before anything is asked', () => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ bucket: '' }, /^bucket \(\$AWS_BUCKET\) not set for s3 cache$/],
    [{ region: '' }, /^region \(\$AWS_REGION\) not set for s3 cache$/],
    [{ upload_parallelism: '0' }, /^upload_parallelism must be a positive integer$/],
    [{ retry_max_attempts: '-1' }, /^retry_max_attempts must be a positive integer$/],
    [{ retry_mode: 'legacy' }, /^retry_mode must be "standard" or "adaptive"$/],
    [{ touch_refresh: 'daily' }, /^touch_refresh is no duration: "daily"$/],
    [{ use_path_style: 'maybe' }, /^non-bool value "maybe" specified for use_path_style$/],
    [{ endpoint_url: 'ftp://x' }, /^endpoint_url is not the address of a server$/],
    [{ endpoint_url: 'http://me:secret@x' }, /^endpoint_url has credentials in it$/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => s3Cache.open({ ...attributes, ...options }, 'export'), {
      code: 'invalid_argument',
      message,
    });
  }
});
