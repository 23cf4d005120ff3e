import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { digestOf } from '../../src/base/digest.ts';
import { HttpRig } from '../../src/http/http-rig.ts';
import { mediaTypes } from '../../src/oci/descriptor.ts';
import { encodeManifest } from '../../src/oci/manifest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { createRegistry } from '../../src/registry/http-registry.ts';
import { anonymousAuth, type RegistryAuth } from '../../src/registry/registry.ts';

const secret = 'Basic dXNlcjpzZWNyZXQ=';
const auth: RegistryAuth = {
  ...anonymousAuth,
  identity: 'user',
  credentials: async () => ({ username: 'user', secret: 'secret' }),
};
const bytes = Buffer.alloc(3 * 1024 * 1024, 'layer');
const layer = { mediaType: mediaTypes.ociLayer, digest: digestOf(bytes), size: bytes.length };
const manifestBytes = Buffer.from(
  encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config: layer,
    layers: [layer],
  }),
);
const manifest = {
  mediaType: mediaTypes.ociManifest,
  digest: digestOf(manifestBytes),
  size: manifestBytes.length,
};

/** A registry that wants to know who writes, and forgets what it is given. */
class Writable implements AsyncDisposable {
  readonly rig: HttpRig;
  /** What came for each path. */
  readonly received = new Map<string, Buffer>();
  private constructor(rig: HttpRig) {
    this.rig = rig;
  }

  static async start(): Promise<Writable> {
    return new Writable(await HttpRig.start());
  }

  /** Whatever comes to `path`, by anybody: `status` and headers. */
  serve(path: string, status: number, headers: Readonly<Record<string, string>> = {}): string {
    return this.#serve(path, async (request, response) => {
      this.received.set(path, await buffer(request));
      response.writeHead(status, headers).end();
    });
  }

  /** As `serve`, for those who say who they are. */
  guard(path: string, status: number, headers: Readonly<Record<string, string>> = {}): string {
    return this.#serve(path, async (request, response) => {
      const body = await buffer(request);
      if (request.headers.authorization !== secret) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="here"' }).end();
        return;
      }
      this.received.set(path, body);
      response.writeHead(status, headers).end();
    });
  }

  #serve(path: string, answer: (...of: Parameters<RequestListener>) => Promise<void>): string {
    return this.rig.serve(path, (request, response) => {
      answer(request, response).catch((error: Error) => response.destroy(error));
    });
  }

  /** The credentials that came with each request for `path`. */
  credentials(path: string): readonly (string | undefined)[] {
    return this.rig.requests(path).map(({ headers }) => headers.authorization);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}

const uploads = '/v2/app/blobs/uploads/';
const upload = `/up?digest=${encodeURIComponent(layer.digest)}`;
const tag = '/v2/app/manifests/1';

async function push(host: string): Promise<void> {
  await using registry = createRegistry({ retry: { attempts: 1, firstDelay: 1 } });
  const reference = parseReference(`${host}/app:1`);
  const context = { signal: AbortSignal.timeout(30_000), auth };
  const body = {
    async open() {
      return (async function* () {
        for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
      })();
    },
  };
  await registry.pushBlob(reference, layer, body, context);
  await registry.pushManifest(reference, manifest, manifestBytes, context);
}

for (const status of [301, 302, 307, 308]) {
  test(`a push follows ${status} with its method and all of its body, and says nothing of its user elsewhere`, async () => {
    await using own = await Writable.start();
    await using other = await Writable.start();
    own.guard(uploads, status, { location: other.serve('/start', 202, { location: own.rig.url('/up') }) });
    own.guard(upload, status, { location: other.serve('/blob', 201) });
    own.guard(tag, status, { location: '/moved' });
    own.guard('/moved', status, { location: other.serve('/manifest', 201) });
    await push(own.rig.host);
    assert.deepEqual(other.rig.methods('/start'), ['POST']);
    assert.deepEqual(other.rig.methods('/blob'), ['PUT']);
    assert.equal(other.received.get('/blob')?.equals(bytes), true);
    assert.equal(own.credentials('/moved').at(-1), secret);
    assert.deepEqual(other.rig.methods('/manifest'), ['PUT']);
    assert.equal(other.received.get('/manifest')?.equals(manifestBytes), true);
    const told = ['/start', '/blob', '/manifest'].flatMap((path) => other.credentials(path));
    assert.deepEqual(told, [undefined, undefined, undefined]);
  });
}

test('303 is followed to see what became of the request', async () => {
  await using own = await Writable.start();
  own.guard(uploads, 202, { location: '/up' });
  own.guard(upload, 303, { location: '/done' });
  own.guard('/done', 200);
  own.guard(tag, 201);
  await push(own.rig.host);
  assert.deepEqual(own.rig.methods('/done').at(-1), 'GET');
  assert.equal(own.received.get('/done')?.length, 0);
});

test('an upload whose location is elsewhere goes there without credentials', async () => {
  await using own = await Writable.start();
  await using other = await Writable.start();
  own.guard(uploads, 202, { location: other.rig.url('/up') });
  own.guard(tag, 201);
  other.serve(upload, 201);
  await push(own.rig.host);
  assert.equal(other.received.get(upload)?.equals(bytes), true);
  assert.deepEqual(other.credentials(upload), [undefined]);
});

test('another server that asks for credentials gets none, and nobody whom it names does', async () => {
  await using own = await Writable.start();
  await using other = await Writable.start();
  const realm = other.serve('/token', 200);
  const challenges = [`Bearer realm="${realm}",service="x"`, 'Basic realm="x"'];
  for (const [index, challenge] of challenges.entries()) {
    const ask = { 'www-authenticate': challenge };
    own.guard(uploads, 307, { location: other.serve(`/start${index}`, 401, ask) });
    await assert.rejects(push(own.rig.host), { code: 'unauthenticated' });
    own.guard(uploads, 202, { location: other.rig.url('/up') });
    other.serve(upload, 401, ask);
    await assert.rejects(push(own.rig.host), { code: 'unauthenticated' });
  }
  assert.deepEqual(other.rig.methods('/token'), []);
  const asked = ['/start0', '/start1', upload].flatMap((path) => other.credentials(path));
  assert.deepEqual(
    asked.filter((credentials) => credentials !== undefined),
    [],
  );
});

test('a location that is no place to upload to is refused without showing it', async () => {
  await using own = await Writable.start();
  for (const location of ['ftp://x/?token=hidden', 'http://[hidden']) {
    own.guard(uploads, 202, { location });
    await assert.rejects(push(own.rig.host), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'failed_precondition');
      assert.match(error.message, /sends an upload to/);
      assert.doesNotMatch(error.message, /hidden/);
      return true;
    });
  }
});

test('a push does not follow redirects for ever', async () => {
  await using own = await Writable.start();
  own.guard(uploads, 307, { location: uploads });
  await assert.rejects(push(own.rig.host), { message: /gave up after 5 redirects/ });
});
