import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { parsePlatform } from '../../base/platform.ts';
import { type ProgressWriter, type StatusEvent, silentProgress } from '../../base/progress.ts';
import { type ContentStore, writeBlob } from '../../content/content.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { encodeManifest } from '../../oci/manifest.ts';
import { parseReference } from '../../oci/reference.ts';
import type { BlobProvider, LayerImport } from '../../ref/layer-import.ts';
import type { ImmutableRef, LayerBlob, RecordOptions } from '../../ref/ref.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import { anonymousAuth, type Registry } from '../../registry/registry.ts';
import { type RegistryRig, startRegistry } from '../../registry/registry-rig.ts';
import type { ResolveMode, SourceContext } from '../source.ts';
import { createImageSource, type LocalImages } from './image-source.ts';

const amd64 = parsePlatform('linux/amd64');
const arm64 = parsePlatform('linux/arm64');

let rig: RegistryRig;
let registry: Registry & AsyncDisposable;
let directory: string;
let upstream: ContentStore;
let stores = 0;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'kiln-image-source-'));
  upstream = await openLocalContentStore(path.join(directory, 'upstream'));
  rig = await startRegistry();
  registry = createRegistry({ retry: { attempts: 2, firstDelay: 1 } });
});

after(async () => {
  await registry[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** A source with an empty content store, whose refs only say what they were made of. */
async function createSource(localImages?: LocalImages) {
  const content = await openLocalContentStore(path.join(directory, `store-${stores++}`));
  const made: { layers: readonly LayerBlob[]; provider: BlobProvider; options: RecordOptions }[] = [];
  const layerImport: LayerImport = {
    async fromBlobs(layers, provider, options) {
      made.push({ layers, provider, options });
      return {} as ImmutableRef;
    },
    offer() {},
  };
  const credentials = { login: async () => undefined, token: async () => undefined };
  return {
    source: createImageSource({ registry, content, layerImport, credentials, localImages }),
    content,
    made,
  };
}

const context = (session = 'one', progress: ProgressWriter = silentProgress): SourceContext => ({
  signal: AbortSignal.timeout(30_000),
  progress,
  sessions: () => [session],
  retain() {},
});

async function push(name: string, descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
  const reference = parseReference(`${rig.host}/${name}`);
  await registry.pushManifest(reference, descriptor, bytes, {
    signal: context().signal,
    auth: anonymousAuth,
  });
}

async function pushBlob(name: string, text: string, mediaType: string): Promise<Descriptor> {
  const descriptor = { ...(await writeBlob(upstream, Buffer.from(text))), mediaType };
  const body = { open: async () => upstream.read(descriptor.digest) };
  const reference = parseReference(`${rig.host}/${name}`);
  await registry.pushBlob(reference, descriptor, body, { signal: context().signal, auth: anonymousAuth });
  return descriptor;
}

/** Pushes an image whose layers hold these texts (nobody unpacks them here). */
async function pushImage(
  name: string,
  texts: readonly string[],
  note = '',
  annotations: Readonly<Record<string, string>> = {},
) {
  const layers = await Promise.all(
    texts.map(async (text) => ({ ...(await pushBlob(name, text, mediaTypes.ociLayer)), annotations })),
  );
  const config = JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    note,
    rootfs: { type: 'layers', diff_ids: texts.map((text) => digestOf(text)) },
    history: texts.map((text) => ({ created: '2024-01-01T00:00:00Z', created_by: text })),
  });
  const bytes = encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config: await pushBlob(name, config, mediaTypes.ociConfig),
    layers,
  });
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  await push(name, manifest, bytes);
  return { manifest, layers, config, bytes };
}

const op = (name: string, attrs: Record<string, string> = {}) => ({
  identifier: `docker-image://${rig.host}/${name}`,
  attrs,
});

test('of what a manifest says of its layers, only how they can be read is kept', async () => {
  const format = {
    'containerd.io/snapshot/stargz/toc.digest': digestOf('toc'),
    'io.containers.estargz.uncompressed-size': '6',
  };
  const others = {
    'buildkit/rewritten-timestamp': '0',
    'kiln/layer-form': 'windows',
    'example.note': 'mine',
  };
  await pushImage('annotated:1', ['bottom'], '', { ...format, ...others });
  const { source, made } = await createSource();
  const instance = source.open(op('annotated:1'), amd64);
  await instance.key(context());
  await instance.snapshot(context());
  const [layer] = made[0]!.layers;
  assert.deepEqual(layer!.descriptor.annotations, {
    ...format,
    [`containerd.io/distribution.source.${rig.host}`]: 'annotated',
  });
});

test('a name resolves to its digest, and layers stay in the registry until they are asked for', async () => {
  const { manifest, layers } = await pushImage('lazy:1', ['bottom', 'top']);
  const { source, content, made } = await createSource();
  const statuses: StatusEvent[] = [];
  const progress = { ...silentProgress, status: (event: StatusEvent) => statuses.push(event) };
  const instance = source.open(op('lazy:1'), amd64);
  const key = await instance.key(context('one', progress));
  assert.equal(key.pin, manifest.digest);
  await instance.snapshot(context());
  const [ref] = made;
  assert.deepEqual(
    ref!.layers.map(({ descriptor, diffId }) => [descriptor.digest, diffId]),
    layers.map((layer, index) => [layer.digest, digestOf(['bottom', 'top'][index]!)]),
  );
  assert.equal(
    ref!.layers[0]!.descriptor.annotations?.[`containerd.io/distribution.source.${rig.host}`],
    'lazy',
  );
  assert.equal(await content.stat(layers[0]!.digest), undefined);
  await ref!.provider.fetch(layers[0]!, { signal: context().signal, progress });
  assert.equal((await content.stat(layers[0]!.digest))?.size, layers[0]!.size);
  const line = statuses.filter(({ id }) => id === layers[0]!.digest).at(-1)!;
  assert.deepEqual([line.current, line.total], [6, 6]);
  assert.ok(line.completed);
  assert.ok(statuses.some(({ id }) => id === `resolve ${rig.host}/lazy:1`));
});

test('images with equal layers have equal keys, whatever their names and configs', async () => {
  await pushImage('equal-a:1', ['x', 'y'], 'a');
  await pushImage('equal-b:1', ['x', 'y'], 'b');
  await pushImage('equal-c:1', ['y', 'x']);
  await pushImage('equal-d:1', ['x']);
  const { source } = await createSource();
  const key = async (name: string, attrs?: Record<string, string>) =>
    (await source.open(op(name, attrs), amd64).key(context())).digest;
  assert.equal(await key('equal-a:1'), await key('equal-b:1'));
  assert.notEqual(await key('equal-a:1'), await key('equal-c:1'));
  assert.equal(await key('equal-a:1', { 'image.layerlimit': '1' }), await key('equal-d:1'));
});

test('an index is searched for the platform, and what it has instead is said', async () => {
  const one = await pushImage('index:one', ['amd']);
  const two = await pushImage('index:two', ['arm']);
  const bytes = encodeManifest({
    kind: 'index',
    mediaType: mediaTypes.ociIndex,
    manifests: [
      { ...one.manifest, platform: amd64 },
      { ...two.manifest, platform: arm64 },
    ],
  });
  await push(
    'index:1',
    { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), size: bytes.length },
    bytes,
  );
  const { source } = await createSource();
  const resolve = (platform: typeof amd64) =>
    source.resolveConfig(`${rig.host}/index:1`, { platform, resolveMode: 'default' }, context());
  const arm = await resolve(arm64);
  assert.equal(arm.digest, digestOf(bytes));
  assert.equal(arm.ref, `${rig.host}/index:1@${digestOf(bytes)}`);
  assert.equal(Buffer.from(arm.config).toString(), two.config);
  await assert.rejects(
    resolve(parsePlatform('linux/s390x')),
    (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, 'not_found');
      assert.match(error.message, /no match for platform linux\/s390x/);
      assert.match(error.message, /which has linux\/amd64, linux\/arm64: not found/);
      return true;
    },
  );
});

test('entries of an index that do not say their platform are looked into', async () => {
  const amd = await pushImage('silent:one', ['amd']);
  const bytes = encodeManifest({ kind: 'index', mediaType: mediaTypes.ociIndex, manifests: [amd.manifest] });
  await push(
    'silent:1',
    { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), size: bytes.length },
    bytes,
  );
  const { source } = await createSource();
  const resolve = (platform: typeof amd64) =>
    source.resolveConfig(`${rig.host}/silent:1`, { platform, resolveMode: 'default' }, context());
  const found = JSON.parse(Buffer.from((await resolve(amd64)).config).toString()) as {
    architecture?: string;
  };
  assert.equal(found.architecture, 'amd64');
  await assert.rejects(resolve(arm64), {
    message: /no match for platform linux\/arm64 in manifest, which has linux\/amd64/,
  });
});

test('an index of many entries that do not say their platform is not looked through for ever', async () => {
  const images = await Promise.all(
    Array.from({ length: 20 }, (_, index) => pushImage('many:one', [], String(index))),
  );
  const bytes = encodeManifest({
    kind: 'index',
    mediaType: mediaTypes.ociIndex,
    manifests: images.map(({ manifest }) => manifest),
  });
  await push(
    'many:1',
    { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), size: bytes.length },
    bytes,
  );
  const { source, content } = await createSource();
  await assert.rejects(
    source.resolveConfig(`${rig.host}/many:1`, { platform: arm64, resolveMode: 'default' }, context()),
    { code: 'not_found' },
  );
  const read = await Promise.all(images.map(({ manifest }) => content.stat(manifest.digest)));
  assert.equal(read.filter((found) => found !== undefined).length, 16);
});

test('one build sees one image under a name, the next build sees a new one', async () => {
  const first = await pushImage('moving:1', ['before']);
  const { source } = await createSource();
  const resolve = async (session: string) =>
    (await source.open(op('moving:1'), amd64).key(context(session))).pin;
  assert.equal(await resolve('one'), first.manifest.digest);
  const second = await pushImage('moving:1', ['after']);
  assert.equal(await resolve('one'), first.manifest.digest);
  assert.equal(await resolve('two'), second.manifest.digest);
});

test('an image that was seen is found by its digest without asking the registry again', async () => {
  await using private_ = await startRegistry();
  const borrowed = rig;
  rig = private_;
  const { manifest } = await pushImage('pinned:1', ['pinned']).finally(() => {
    rig = borrowed;
  });
  const { source } = await createSource();
  const named = (reference: string) => source.open({ identifier: reference, attrs: {} }, amd64);
  await named(`docker-image://${private_.host}/pinned:1`).key(context('one'));
  await private_[Symbol.asyncDispose]();
  const pinned = await named(`docker-image://${private_.host}/pinned:1@${manifest.digest}`).key(
    context('two'),
  );
  assert.equal(pinned.pin, manifest.digest);
  await assert.rejects(
    named(`docker-image://${private_.host}/other@${manifest.digest}`).key(context('two')),
    {
      code: 'unavailable',
    },
  );
});

test('an image that is kept here serves as its mode says, and instead of a registry if it was never pushed', async () => {
  const remote = await pushImage('modes:1', ['remote']);
  await pushImage('unpushed:1', ['remote']);
  const { config } = await pushImage('elsewhere:1', ['local']);
  const local = await pushImage('elsewhere:1', ['local']);
  const localImages: LocalImages = {
    async find({ path: name, digest }) {
      if (digest !== undefined) return undefined;
      if (name === 'modes' || name === 'lost') return { target: local.manifest, isElsewhere: true };
      return name.endsWith('unpushed') ? { target: local.manifest, isElsewhere: false } : undefined;
    },
  };
  const { source, content } = await createSource(localImages);
  await writeBlob(content, local.bytes);
  await writeBlob(content, Buffer.from(config));
  const resolve = async (name: string, resolveMode: ResolveMode) =>
    (await source.resolveConfig(`${rig.host}/${name}`, { platform: amd64, resolveMode }, context())).digest;
  assert.equal(await resolve('modes:1', 'default'), remote.manifest.digest);
  assert.equal(await resolve('modes:1', 'pull'), remote.manifest.digest);
  assert.equal(await resolve('modes:1', 'local'), local.manifest.digest);
  assert.equal(await resolve('unpushed:1', 'default'), local.manifest.digest);
  assert.equal(await resolve('unpushed:1', 'pull'), remote.manifest.digest);
  assert.equal(await resolve('only-unpushed:1', 'default'), local.manifest.digest);
  assert.equal(await resolve('lost:1', 'default'), local.manifest.digest);
  await assert.rejects(resolve('lost:1', 'pull'), { code: 'not_found' });
});

test('an image that is kept here serves by its digest in every mode', async () => {
  const { manifest, bytes, config } = await pushImage('by-digest:1', ['kept']);
  const localImages: LocalImages = {
    find: async ({ path: name, digest }) =>
      name === 'nowhere' && digest === manifest.digest ? { target: manifest, isElsewhere: false } : undefined,
  };
  const { source, content } = await createSource(localImages);
  await writeBlob(content, bytes);
  await writeBlob(content, Buffer.from(config));
  for (const resolveMode of ['default', 'pull', 'local'] as const) {
    const reference = `${rig.host}/nowhere@${manifest.digest}`;
    const { digest } = await source.resolveConfig(reference, { platform: amd64, resolveMode }, context());
    assert.equal(digest, manifest.digest);
  }
});

test('wrong attributes and checksums are refused', async () => {
  await pushImage('checked:1', ['checked']);
  const { source } = await createSource();
  const cases: readonly Record<string, string>[] = [
    { 'image.resolvemode': 'sometimes' },
    { 'image.recordtype': 'mine' },
    { 'image.layerlimit': '0' },
    { 'image.checksum': 'sha256:12' },
  ];
  for (const attrs of cases) {
    assert.throws(() => source.open(op('checked:1', attrs), amd64), { code: 'invalid_argument' });
  }
  const checksum = { 'image.checksum': digestOf('something else') };
  await assert.rejects(source.open(op('checked:1', checksum), amd64).key(context()), {
    code: 'failed_precondition',
    message: /does not match expected checksum/,
  });
  await assert.rejects(source.open(op('checked:1', { 'image.layerlimit': '2' }), amd64).key(context()), {
    message: /layer limit 2 is greater than the number of layers/,
  });
});
