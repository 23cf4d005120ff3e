import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { silentProgress } from '../../base/progress.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { parseReference } from '../../oci/reference.ts';
import { FaultProxy } from '../../registry/fault-proxy-rig.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import type { Registry } from '../../registry/registry.ts';
import { anonymousAuth } from '../../registry/registry.ts';
import { type RegistryRig, startRegistry } from '../../registry/registry-rig.ts';
import { createRegistryCache } from '../backends/registry-cache.ts';
import type { CacheBackendType } from '../cache-backend.ts';
import { CacheMachine, keysOfSteps } from '../cache-machine-rig.ts';

const resources = new AsyncDisposableStack();
// Before the directories go.
after(() => resources.disposeAsync());
const directory = temporaryDirectories();
const steps = ['a', 'b'];
const files = { a: Buffer.from('first'), b: Buffer.from('second') };
let rig: RegistryRig;
let registry: Registry;
let one: CacheMachine;
let other: CacheMachine;
let places = 0;

const credentials = { login: async () => undefined, token: async () => undefined };
/** For whom blobs were fetched. */
const asked: (readonly string[])[] = [];

before(async () => {
  rig = resources.use(await startRegistry());
  registry = resources.use(createRegistry({ retry: { attempts: 1, firstDelay: 1 } }));
  const type = createRegistryCache({ registry, credentials });
  one = await CacheMachine.open(path.join(directory(), 'one'), resources, [type]);
  const impatient: CacheBackendType = {
    ...type,
    type: 'impatient',
    open: (...args) => ({ ...type.open(...args), documentTimeout: 300 }),
  };
  const watched: CacheBackendType = {
    ...type,
    type: 'watched',
    open(...args) {
      const backend = type.open(...args);
      return {
        ...backend,
        async fetchBlob(blob, store, access) {
          asked.push(access.sessions);
          await backend.fetchBlob(blob, store, access);
        },
      };
    },
  };
  other = await CacheMachine.open(path.join(directory(), 'other'), resources, [type, impatient, watched]);
});

async function exported(contents: Readonly<Record<string, Uint8Array>> = files): Promise<string> {
  const ref = `${rig.host}/imports/n${places++}:cache`;
  const target = one.caches.openExport('registry', { ref, mode: 'max' });
  const context = { signal: AbortSignal.timeout(30_000), progress: silentProgress, sessionId: '' };
  await target.run([await one.built(contents)], context);
  return ref;
}

/** An import of a build that goes on until it is disposed. */
function begin(ref: string, type = 'registry', sessionId = '') {
  const ended = new AbortController();
  const source = other.caches.imports.open({ type, attributes: { ref } }, sessionId, ended.signal);
  return {
    source,
    load: () => source.load(ended.signal),
    [Symbol.dispose]: () => ended.abort(),
  };
}

async function resultOf(source: ReturnType<typeof begin>['source'], step: number) {
  const keys = await keysOfSteps(source.keys, steps);
  assert.equal(keys.length, steps.length);
  const [result] = await source.keys.results([keys[step]!]);
  return { result: result!, ref: await source.results.load(result!.id) };
}

test('what a machine finds in a cache has the files of the one that made it, fetched when they are looked at', async () => {
  using found = begin(await exported());
  await found.load();
  const { result, ref } = await resultOf(found.source, 1);
  assert.equal(result.createdAt.getTime(), 1_700_000_000_000);
  const blobs = await Array.fromAsync(other.store.content.list());
  assert.deepEqual(
    blobs.filter(({ digest }) => ref!.layers().some((layer) => layer.blobs[0]?.descriptor.digest === digest)),
    [],
  );
  {
    await using view = await ref!.mount();
    assert.equal(readFileSync(path.join(view.path, 'a'), 'utf8'), 'first');
    assert.equal(readFileSync(path.join(view.path, 'b'), 'utf8'), 'second');
  }
  await ref!.release();
});

test('a look-up waits for the cache, and finds nothing in one that cannot be read', async () => {
  using waiting = begin(await exported());
  const keys = keysOfSteps(waiting.source.keys, steps);
  assert.equal(waiting.source.pending, true);
  await waiting.load();
  assert.equal((await keys).length, 2);

  using missing = begin(`${rig.host}/imports/none:cache`);
  const none = keysOfSteps(missing.source.keys, steps);
  await assert.rejects(missing.load(), (error) => error instanceof KilnError && error.code === 'not_found');
  assert.deepEqual(await none, []);
  assert.equal(missing.source.outcome.kind, 'failed');
});

test('a cache that has not changed is not read again, and one that has is', async () => {
  const ref = await exported();
  await using proxy = await FaultProxy.start(rig.host, () => undefined);
  const proxied = ref.replace(rig.host, proxy.host);
  const requests = async () => {
    const before = proxy.requests.length;
    using found = begin(proxied);
    await found.load();
    assert.equal((await keysOfSteps(found.source.keys, steps)).length, 2);
    return proxy.requests.slice(before).filter(({ url }) => url.includes('imports'));
  };
  assert.ok((await requests()).length > 1);
  const again = await requests();
  assert.deepEqual(
    again.map(({ method }) => method),
    ['HEAD'],
  );
  const target = one.caches.openExport('registry', { ref, mode: 'max', 'image-manifest': 'false' });
  const context = { signal: AbortSignal.timeout(30_000), progress: silentProgress, sessionId: '' };
  await target.run([await one.built(files)], context);
  assert.ok((await requests()).length > 1);
});

test('a server that does not answer counts as away after a while', async () => {
  await using silent = await FaultProxy.start(rig.host, () => ({ kind: 'silence' }));
  using found = begin(`${silent.host}/imports/silent:cache`, 'impatient');
  await assert.rejects(found.load(), /did not answer in time/);
});

test('an import ends with its build, also while its server is silent', async () => {
  await using silent = await FaultProxy.start(rig.host, () => ({ kind: 'silence' }));
  const found = begin(`${silent.host}/imports/silent:cache`);
  const loading = found.load();
  found[Symbol.dispose]();
  await assert.rejects(loading, (error) => error instanceof KilnError && error.code === 'canceled');
});

test('layers are fetched for the clients that import the cache just then', async () => {
  const ref = await exported({ a: Buffer.from('fetched by two'), b: Buffer.from('never fetched') });
  const first = begin(ref, 'watched', 'session one');
  await first.load();
  const { ref: tree } = await resultOf(first.source, 0);
  asked.length = 0;
  first[Symbol.dispose]();
  using second = begin(ref, 'watched', 'session two');
  await second.load();
  {
    await using _view = await tree!.mount();
  }
  await tree!.release();
  assert.deepEqual(asked, [['session two']]);
});

test('a result whose layer is gone is not found, and others are', async () => {
  const ref = await exported();
  const { path: repository } = parseReference(ref);
  using found = begin(ref);
  await found.load();
  const answer = await fetch(`http://${rig.host}/v2/${repository}/manifests/cache`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  const { layers } = (await answer.json()) as { readonly layers: readonly { readonly digest: string }[] };
  await fetch(`http://${rig.host}/v2/${repository}/blobs/${layers[1]!.digest}`, { method: 'DELETE' });
  const { ref: lower } = await resultOf(found.source, 0);
  const { ref: upper } = await resultOf(found.source, 1);
  assert.ok(lower);
  assert.equal(upper, undefined);
  assert.deepEqual([...found.source.missing], [layers[1]!.digest]);
  await lower.release();
});

/** Puts a manifest with this config and no layers at a place of its own. */
async function pushed(config: unknown): Promise<string> {
  const ref = `${rig.host}/imports/hostile:n${places++}`;
  const reference = parseReference(ref);
  const access = { signal: AbortSignal.timeout(30_000), auth: anonymousAuth };
  const bytes = Buffer.from(JSON.stringify(config));
  const mediaType = 'application/vnd.buildkit.cacheconfig.v0';
  const blob = { mediaType, digest: digestOf(bytes), size: bytes.length };
  await registry.pushBlob(reference, blob, { open: async () => once(bytes) }, access);
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: type, config: blob, layers: [] }),
  );
  const descriptor = { mediaType: type, digest: digestOf(manifest), size: manifest.length };
  await registry.pushManifest(reference, descriptor, manifest, access);
  return ref;
}

async function* once(bytes: Uint8Array) {
  yield bytes;
}

test('a cache that would take much memory is read again, however few records it has', async () => {
  const links = Array.from({ length: 500_000 }, () => ({}));
  const records = [{ digest: digestOf('first') }, { digest: digestOf('second'), inputs: [links] }];
  const ref = await pushed({ records });
  await using proxy = await FaultProxy.start(rig.host, () => undefined);
  const methods = async () => {
    const before = proxy.requests.length;
    using found = begin(ref.replace(rig.host, proxy.host));
    await found.load();
    assert.equal(found.source.outcome.kind, 'loaded');
    return new Set(proxy.requests.slice(before).map(({ method }) => method));
  };
  await methods();
  assert.ok((await methods()).has('GET'));
});

test('documents that are no cache are refused by what is wrong with them', async () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    ['text', /an object is expected/],
    [{ records: [{ digest: digestOf('x'), inputs: [[{ link: 0 }]] }] }, /a record leads to itself/],
    [{ layers: [{ blob: digestOf('x') }] }, /a layer lies on itself/],
  ];
  for (const [config, message] of refused) {
    using found = begin(await pushed(config));
    await assert.rejects(found.load(), message);
    assert.deepEqual(await keysOfSteps(found.source.keys, steps), []);
  }
  using bare = begin(
    await pushed({
      layers: [{ blob: digestOf('x'), parent: -1 }],
      records: [{ digest: digestOf('r'), layers: [{ layer: 0 }] }],
    }),
  );
  await bare.load();
  const key = digestOf('r') as string as Parameters<typeof bare.source.keys.results>[0][number];
  assert.deepEqual(await bare.source.keys.results([key]), [], 'nobody describes its layer');
});
