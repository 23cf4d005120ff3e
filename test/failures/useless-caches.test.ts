import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { HttpRig } from '../../src/http/http-rig.ts';
import { FaultProxy } from '../../src/registry/fault-proxy-rig.ts';
import { cacheMachines, explanationOf } from '../builds/cache-machines.ts';

const rig = cacheMachines();

describe('a cache that is of no use', () => {
  test('delays nothing that the machine has itself, though its server never answers', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context);
    const silent = await FaultProxy.start(rig.registry.host, () => ({ kind: 'silence' }));
    await using _silent = silent;
    const found = await rig.one.kiln.build(context, [
      '--import-cache',
      `type=registry,ref=${silent.host}/silent`,
    ]);
    assert.deepEqual(found.events.steps('ran'), []);
    assert.ok(silent.requests.length > 0, 'it was asked');
  });

  test('is a warning, when its server is away or says something else', async () => {
    const context = rig.newContext();
    await using server = await HttpRig.start({
      otherwise: (_request, response) =>
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
    });
    const built = await rig.one.kiln.build(context, [
      ...['--import-cache', 'type=registry,ref=127.0.0.1:1/away'],
      ...['--import-cache', `type=registry,ref=${server.host}/strange`],
      ...['--import-cache', 'type=unheard-of'],
    ]);
    assert.equal(built.events.steps('ran').length, 6);
    assert.match(built.events.vertex('127.0.0.1:1/away').error ?? '', /connection refused/);
    assert.match(built.events.vertex('/strange').error ?? '', /importer/);
    assert.match(built.events.vertex('from unheard-of').error ?? '', /unknown cache importer: unheard-of/);
    const told = explanationOf(built, 'three > /three');
    assert.match(told, /; cache 127.0.0.1:1\/away cannot be read: .*connection refused/);
    assert.match(told, /; cache unheard-of cannot be imported: unknown cache importer/);
  });

  test('has lost blobs: steps that were made of them run again', async () => {
    const context = rig.newContext();
    await rig.one.kiln.build(context, ['--export-cache', rig.registryCache('lost', ',mode=max')]);
    const { layers } = await rig.documentOf('lost');
    const { digest } = layers!.at(-1)!;
    const hex = digest.slice('sha256:'.length);
    for (const file of [`repositories/lost/_layers/sha256/${hex}`, `blobs/sha256/${hex.slice(0, 2)}/${hex}`])
      rmSync(path.join(rig.registry.storage, 'docker/registry/v2', file), { recursive: true });
    const built = await rig.other.kiln.build(context, ['--cache-from', rig.registryCache('lost')]);
    assert.match(explanationOf(built, '> /all'), /; cache \S+\/lost has lost layers of it$/);
    assert.ok(built.events.steps('ran').length > 0);
    assert.ok(built.events.steps('cached').length > 0);
    assert.match(await rig.other.kiln.textOf('all', context), /three/);
  });
});

describe('an export that fails', () => {
  const refuse = (request: { readonly method?: string }) =>
    request.method === 'PUT' ? ({ kind: 'status', status: 403 } as const) : undefined;

  test('fails the build, and says what could not be written', async () => {
    await using proxy = await FaultProxy.start(rig.registry.host, refuse);
    const { stderr } = await rig.one.kiln.failingBuild(rig.newContext(), [
      ...['--export-cache', `type=registry,ref=${proxy.host}/refused`],
    ]);
    assert.match(stderr, /error writing layer blob.*403/s);
  });

  test('does not fail a build that can do without', async () => {
    await using proxy = await FaultProxy.start(rig.registry.host, refuse);
    const built = await rig.one.kiln.build(rig.newContext(), [
      ...['--export-cache', `type=registry,ref=${proxy.host}/ignored,ignore-error=true`],
    ]);
    assert.match(built.events.vertex('exporting cache to registry').error ?? '', /403/);
  });

  test('of a wrong type or with wrong options is refused before anything runs', async () => {
    const context = rig.newContext();
    const failure = async (options: string) =>
      (await rig.one.kiln.failingBuild(context, ['--export-cache', options])).stderr;
    assert.match(await failure('type=unheard-of'), /unknown cache exporter: "unheard-of"/);
    assert.match(await failure('type=registry,ref=UPPER/x:y:z'), /invalid image reference/);
    assert.match(
      await failure(rig.registryCache('x', ',oci-mediatypes=false,image-manifest=true')),
      /OCI mediatypes are required/,
    );
    assert.match(await failure(rig.registryCache('x', ',compression=lzma')), /unsupported compression type/);
    const twice = [
      '--export-cache',
      rig.registryCache('x'),
      '--export-cache',
      rig.registryCache('x', ',mode=max'),
    ];
    assert.match((await rig.one.kiln.failingBuild(context, twice)).stderr, /duplicate cache exports/);
  });
});
