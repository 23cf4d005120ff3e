import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { FaultProxy } from '../../src/registry/fault-proxy-rig.ts';
import { cacheMachines, explanationOf, fetchedBlobs } from './cache-machines.ts';

const rig = cacheMachines();

/** Of the document that an export with these options writes. */
const documentTypes = {
  '': 'application/vnd.oci.image.manifest.v1+json',
  ',image-manifest=false': 'application/vnd.oci.image.index.v1+json',
  ',oci-mediatypes=false': 'application/vnd.docker.distribution.manifest.list.v2+json',
  ',compression=zstd,force-compression=true': 'application/vnd.oci.image.manifest.v1+json',
};

describe('what one machine exports to a registry', () => {
  for (const [options, type] of Object.entries(documentTypes)) {
    test(`another one need not build (mode=max${options})`, async () => {
      const context = rig.newContext();
      const name = `formats/${path.basename(context)}`;
      const made = await rig.one.kiln.build(context, [
        '--export-cache',
        rig.registryCache(name, `,mode=max${options}`),
      ]);
      assert.equal(made.events.steps('ran').length, 6);
      const document = await rig.documentOf(name);
      assert.equal(document.mediaType, type);
      const layers = document.layers ?? document.manifests!.slice(0, -1);
      assert.equal(layers.length, 6, 'the base image, and six steps, of which two make the same layer');
      for (const { mediaType, annotations } of layers) {
        // The base image has no compression, and keeps what it has unless it is forced.
        assert.match(mediaType, options.includes('zstd') ? /zstd$/ : /(gzip|tar)$/);
        assert.match(annotations?.['containerd.io/uncompressed'] ?? '', /^sha256:/);
      }
      const found = await rig.other.kiln.build(context, ['--import-cache', rig.registryCache(name)]);
      assert.deepEqual(found.events.steps('ran'), []);
      assert.deepEqual(fetchedBlobs(found), [], 'nobody asked for files');
      const text = await rig.other.kiln.textOf('all', context);
      assert.equal(text, await rig.one.kiln.textOf('all', context));
    });
  }

  test('another one builds on, and gets only the layers that it needs', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, ['--export-cache', rig.registryCache('on', ',mode=max')]);
    const text = readFileSync(path.join(context, 'Dockerfile'), 'utf8');
    writeFileSync(path.join(context, 'Dockerfile'), `${text}RUN cat /all > /end\n`);
    const built = await rig.other.kiln.build(context, ['--import-cache', rig.registryCache('on')]);
    assert.deepEqual(
      built.events.steps('ran').map((step) => step.replace(/.*\] /, '')),
      ['RUN cat /all > /end'],
    );
    const { layers } = await rig.documentOf('on');
    const needless = layers!.length - 4;
    assert.ok(
      new Set(fetchedBlobs(built)).size <= layers!.length - needless,
      'the base, and three steps of the last stage',
    );
  });

  test('another one builds what depends on a change, and finds the rest by content', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, ['--export-cache', rig.registryCache('content', ',mode=max')]);
    writeFileSync(
      path.join(context, 'Dockerfile'),
      readFileSync(path.join(context, 'Dockerfile'), 'utf8').replace('> /one', '> /one && true'),
    );
    const built = await rig.other.kiln.build(context, ['--import-cache', rig.registryCache('content')]);
    const ran = built.events.steps('ran');
    assert.equal(
      ran.some((step) => step.includes('&& true')),
      true,
    );
    assert.match(explanationOf(built, '&& true'), /; cache \S+\/content has no such key$/);
    assert.equal(
      ran.some((step) => step.includes('/three')),
      false,
    );
    assert.equal(
      ran.some((step) => step.includes('COPY --from=build')),
      false,
      'what it copies is the same',
    );
  });

  test('mode=min has the layers of the result only, and the result is found by them', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, ['--export-cache', rig.registryCache('min')]);
    const { layers } = await rig.documentOf('min');
    assert.equal(layers!.length, 4);
    const found = await rig.other.kiln.build(context, ['--import-cache', rig.registryCache('min')]);
    assert.deepEqual(found.events.steps('ran'), []);
  });

  test('exporting it again reads nothing, and changes nothing', async () => {
    const context = rig.newContext();
    const first = await rig.one.kiln.build(context, [
      '--export-cache',
      rig.registryCache('again', ',mode=max'),
    ]);
    assert.match(first.stderr, /writing cache image manifest/);
    const before = await rig.documentOf('again');
    const proxy = await FaultProxy.start(rig.registry.host, () => undefined);
    await using _proxy = proxy;
    await rig.one.kiln.build(context, ['--export-cache', `type=registry,ref=${proxy.host}/again,mode=max`]);
    const written = proxy.requests.filter(({ method }) => method !== 'HEAD' && method !== 'GET');
    assert.deepEqual(written, []);
    assert.deepEqual(await rig.documentOf('again'), before);
  });

  test('a machine exports what it has imported, without fetching it', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, ['--export-cache', rig.registryCache('first', ',mode=max')]);
    const passed = await rig.other.kiln.build(context, [
      ...['--import-cache', rig.registryCache('first')],
      ...['--export-cache', rig.registryCache('second', ',mode=max')],
    ]);
    assert.deepEqual(passed.events.steps('ran'), []);
    assert.deepEqual(fetchedBlobs(passed), [], 'the registry mounts its own blobs');
    const digests = async (name: string) =>
      (await rig.documentOf(name)).layers!.map(({ digest }) => digest).sort();
    assert.deepEqual(await digests('second'), await digests('first'));
  });

  test('a machine pushes the image that it found, without fetching or sending a layer', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, [
      ...['--cache-to', rig.registryCache('pushed/cache', ',mode=max')],
      ...['--output', `type=image,name=${rig.registry.host}/pushed/image,push=true`],
    ]);
    const proxy = await FaultProxy.start(rig.registry.host, () => undefined);
    await using _proxy = proxy;
    const pushed = await rig.other.kiln.build(context, [
      ...['--cache-from', `type=registry,ref=${proxy.host}/pushed/cache`],
      ...['--output', `type=image,name=${proxy.host}/pushed/elsewhere,push=true`],
    ]);
    assert.deepEqual(pushed.events.steps('ran'), []);
    assert.deepEqual(fetchedBlobs(pushed), []);
    const sent = proxy.requests.filter(({ method, url }) => method === 'PUT' && url.includes('/blobs/'));
    assert.equal(sent.length, 1, 'the config of the image');
    const digests = async (name: string) => (await rig.documentOf(name)).layers!.map(({ digest }) => digest);
    assert.deepEqual(await digests('pushed/elsewhere'), await digests('pushed/image'));
  });

  test('several caches of a build go to their places, and come from several', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, [
      ...['--export-cache', rig.registryCache('several/a', ',mode=min')],
      ...['--export-cache', rig.registryCache('several/b', ',mode=max')],
      ...['--output', `type=image,name=${rig.registry.host}/several/image,push=true`],
    ]);
    assert.ok(
      (await rig.documentOf('several/b')).layers!.length > (await rig.documentOf('several/a')).layers!.length,
    );
    const found = await rig.other.kiln.build(context, [
      ...['--import-cache', rig.registryCache('several/none')],
      ...['--import-cache', rig.registryCache('several/a')],
    ]);
    assert.deepEqual(found.events.steps('ran'), []);
    assert.match(found.events.vertex('several/none').error ?? '', /not found/);
  });
});

describe('a cache inside an image', () => {
  test('is found by another machine', async () => {
    const context = rig.newContext();
    const image = `${rig.registry.host}/inline`;
    await rig.one.kiln.build(context, [
      ...['--export-cache', 'type=inline'],
      ...['--output', `type=image,name=${image},push=true`],
    ]);
    const { config } = await rig.documentOf('inline');
    const bytes = await fetch(`http://${rig.registry.host}/v2/inline/blobs/${config!.digest}`);
    const json = (await bytes.json()) as Readonly<Record<string, string>>;
    const records = JSON.parse(Buffer.from(json['moby.buildkit.cache.v0']!, 'base64').toString());
    assert.ok(records.length > 3);
    const found = await rig.other.kiln.build(context, ['--import-cache', `type=registry,ref=${image}`]);
    assert.deepEqual(found.events.steps('ran'), []);
  });

  test('is in that of each platform', async () => {
    const context = rig.newContext('FROM scratch\nCOPY file.txt /file.txt\n');
    const image = `${rig.registry.host}/inline-platforms`;
    const platforms = ['--platform', 'linux/amd64,linux/arm64'];
    await rig.one.kiln.build(context, [
      ...platforms,
      ...['--cache-to', 'type=inline', '--output', `type=image,name=${image},push=true`],
    ]);
    const { manifests } = await rig.documentOf('inline-platforms');
    assert.ok(manifests!.length >= 2);
    const found = await rig.other.kiln.build(context, [
      ...platforms,
      '--cache-from',
      `type=registry,ref=${image}`,
    ]);
    assert.deepEqual(found.events.steps('ran'), []);
    assert.ok(found.events.steps('cached').length > 0);
  });

  test('is not there when nobody asked for it', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, ['--output', `type=image,name=${rig.registry.host}/plain,push=true`]);
    const { config } = await rig.documentOf('plain');
    const bytes = await fetch(`http://${rig.registry.host}/v2/plain/blobs/${config!.digest}`);
    assert.equal('moby.buildkit.cache.v0' in ((await bytes.json()) as object), false);
  });
});

describe('a directory of the client', () => {
  test('takes a cache under a tag, and gives it', async () => {
    const context = rig.newContext();
    const directory = rig.work.at('local-cache');
    await rig.one.kiln.build(context, ['--export-cache', `type=local,dest=${directory},tag=kept,mode=max`]);
    const index = JSON.parse(readFileSync(path.join(directory, 'index.json'), 'utf8'));
    assert.equal(index.manifests[0].annotations['org.opencontainers.image.ref.name'], 'kept');
    const found = await rig.other.kiln.build(context, [
      '--import-cache',
      `type=local,src=${directory},tag=kept`,
    ]);
    assert.deepEqual(found.events.steps('ran'), []);
    assert.match(
      await rig.other.kiln.textOf('all', context, ['--import-cache', `type=local,src=${directory},tag=kept`]),
      /three/,
    );
  });

  test('keeps only what its index leads to, if that is wanted', async () => {
    const directory = rig.work.at('reset-cache');
    const blobs = () => readdirSync(path.join(directory, 'blobs/sha256')).length;
    const context = rig.newContext();
    await rig.one.kiln.build(rig.newContext(), ['--cache-to', `type=local,dest=${directory},mode=max`]);
    const first = blobs();
    await rig.one.kiln.build(context, ['--cache-to', `type=local,dest=${directory},mode=max`]);
    assert.ok(blobs() > first);
    await rig.one.kiln.build(context, ['--cache-to', `type=local,dest=${directory},mode=max,reset=true`]);
    assert.equal(blobs(), first);
    const found = await rig.other.kiln.build(context, ['--cache-from', `type=local,src=${directory}`]);
    assert.deepEqual(found.events.steps('ran'), []);
  });

  test('that does not exist yet is no import, and no failure', async () => {
    const context = rig.newContext();
    const missing = `type=local,src=${rig.work.at('missing')}`;
    assert.equal(
      (await rig.one.kiln.build(context, ['--import-cache', missing])).events.steps('ran').length,
      6,
    );
    assert.equal(existsSync(rig.work.at('missing')), false);
  });
});
