import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { HttpRig } from '../../src/http/http-rig.ts';
import { FaultProxy } from '../../src/registry/fault-proxy-rig.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import type { Built } from '../rig/kiln.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** A base image, a stage whose files are copied, content of the context, a cache mount. */
const dockerfile = `
FROM base AS build
RUN echo one > /one
COPY file.txt /file.txt
RUN --mount=type=cache,target=/cache echo used >> /cache/log && cat /file.txt /one > /two
FROM base
RUN echo three > /three
COPY --from=build /two /two
RUN --mount=type=bind,from=build,source=/one,target=/one cat /one /two /three > /all
`;

const rig = suiteRig(async (resources) => ({
  work: resources.use(new WorkDirectory()),
  registry: resources.use(await startRegistry()),
  /** Machines, none of which has anything of another. */
  one: resources.use(await Daemon.start()),
  other: resources.use(await Daemon.start()),
}));

let contexts = 0;

/** A context that no other test has built. */
function newContext(text = dockerfile): string {
  const name = `${process.pid}-${contexts++}`;
  return rig.work.tree({ Dockerfile: text.replaceAll('echo ', `echo ${name} `), 'file.txt': `${name}\n` });
}

const registryCache = (name: string, more = '') => `type=registry,ref=${rig.registry.host}/${name}${more}`;

/** Why the step that has `text` in it ran. */
function explanationOf({ events }: Built, text: string): string {
  return events.explanation(events.vertex(text).digest) ?? '';
}

/** Blobs that were fetched in a build, for whatever step. */
function fetched({ events }: Built): readonly string[] {
  return events.statuses
    .filter(({ id, total }) => id.startsWith('sha256:') && total !== undefined)
    .map(({ id }) => id);
}

async function documentOf(name: string, tag = 'latest'): Promise<{ readonly mediaType: string } & Document> {
  const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json';
  const docker = 'application/vnd.docker.distribution.manifest.list.v2+json';
  const answer = await fetch(`http://${rig.registry.host}/v2/${name}/manifests/${tag}`, {
    headers: { accept: `${accept}, ${docker}` },
  });
  assert.equal(answer.status, 200);
  return (await answer.json()) as { readonly mediaType: string } & Document;
}

interface Document {
  readonly config?: Described;
  readonly layers?: readonly Described[];
  readonly manifests?: readonly Described[];
}

interface Described {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

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
      const context = newContext();
      const name = `formats/n${contexts}`;
      const made = await rig.one.kiln.build(context, [
        '--export-cache',
        registryCache(name, `,mode=max${options}`),
      ]);
      assert.equal(made.events.steps('ran').length, 6);
      const document = await documentOf(name);
      assert.equal(document.mediaType, type);
      const layers = document.layers ?? document.manifests!.slice(0, -1);
      assert.equal(layers.length, 6, 'the base image, and six steps, of which two make the same layer');
      for (const { mediaType, annotations } of layers) {
        // The base image has no compression, and keeps what it has unless it is forced.
        assert.match(mediaType, options.includes('zstd') ? /zstd$/ : /(gzip|tar)$/);
        assert.match(annotations?.['containerd.io/uncompressed'] ?? '', /^sha256:/);
      }
      const found = await rig.other.kiln.build(context, ['--import-cache', registryCache(name)]);
      assert.deepEqual(found.events.steps('ran'), []);
      assert.deepEqual(fetched(found), [], 'nobody asked for files');
      const text = await rig.other.kiln.textOf('all', context);
      assert.equal(text, await rig.one.kiln.textOf('all', context));
    });
  }

  test('another one builds on, and gets only the layers that it needs', async () => {
    const context = newContext();
    await rig.one.kiln.build(context, ['--export-cache', registryCache('on', ',mode=max')]);
    const text = readFileSync(path.join(context, 'Dockerfile'), 'utf8');
    writeFileSync(path.join(context, 'Dockerfile'), `${text}RUN cat /all > /end\n`);
    const built = await rig.other.kiln.build(context, ['--import-cache', registryCache('on')]);
    assert.deepEqual(
      built.events.steps('ran').map((step) => step.replace(/.*\] /, '')),
      ['RUN cat /all > /end'],
    );
    const { layers } = await documentOf('on');
    const needless = layers!.length - 4;
    assert.ok(
      new Set(fetched(built)).size <= layers!.length - needless,
      'the base, and three steps of the last stage',
    );
  });

  test('another one builds what depends on a change, and finds the rest by content', async () => {
    const context = newContext();
    await rig.one.kiln.build(context, ['--export-cache', registryCache('content', ',mode=max')]);
    writeFileSync(
      path.join(context, 'Dockerfile'),
      readFileSync(path.join(context, 'Dockerfile'), 'utf8').replace('> /one', '> /one && true'),
    );
    const built = await rig.other.kiln.build(context, ['--import-cache', registryCache('content')]);
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
    const context = newContext();
    await rig.one.kiln.build(context, ['--export-cache', registryCache('min')]);
    const { layers } = await documentOf('min');
    assert.equal(layers!.length, 4);
    const found = await rig.other.kiln.build(context, ['--import-cache', registryCache('min')]);
    assert.deepEqual(found.events.steps('ran'), []);
  });

  test('exporting it again reads nothing, and changes nothing', async () => {
    const context = newContext();
    const first = await rig.one.kiln.build(context, ['--export-cache', registryCache('again', ',mode=max')]);
    assert.match(first.stderr, /writing cache image manifest/);
    const before = await documentOf('again');
    const proxy = await FaultProxy.start(rig.registry.host, () => undefined);
    await using _proxy = proxy;
    await rig.one.kiln.build(context, ['--export-cache', `type=registry,ref=${proxy.host}/again,mode=max`]);
    const written = proxy.requests.filter(({ method }) => method !== 'HEAD' && method !== 'GET');
    assert.deepEqual(written, []);
    assert.deepEqual(await documentOf('again'), before);
  });

  test('a machine exports what it has imported, without fetching it', async () => {
    const context = newContext();
    await rig.one.kiln.build(context, ['--export-cache', registryCache('first', ',mode=max')]);
    const passed = await rig.other.kiln.build(context, [
      ...['--import-cache', registryCache('first')],
      ...['--export-cache', registryCache('second', ',mode=max')],
    ]);
    assert.deepEqual(passed.events.steps('ran'), []);
    assert.deepEqual(fetched(passed), [], 'the registry mounts its own blobs');
    const digests = async (name: string) =>
      (await documentOf(name)).layers!.map(({ digest }) => digest).sort();
    assert.deepEqual(await digests('second'), await digests('first'));
  });

  test('a machine pushes the image that it found, without fetching or sending a layer', async () => {
    const context = newContext();
    await rig.one.kiln.build(context, [
      ...['--cache-to', registryCache('pushed/cache', ',mode=max')],
      ...['--output', `type=image,name=${rig.registry.host}/pushed/image,push=true`],
    ]);
    const proxy = await FaultProxy.start(rig.registry.host, () => undefined);
    await using _proxy = proxy;
    const pushed = await rig.other.kiln.build(context, [
      ...['--cache-from', `type=registry,ref=${proxy.host}/pushed/cache`],
      ...['--output', `type=image,name=${proxy.host}/pushed/elsewhere,push=true`],
    ]);
    assert.deepEqual(pushed.events.steps('ran'), []);
    assert.deepEqual(fetched(pushed), []);
    const sent = proxy.requests.filter(({ method, url }) => method === 'PUT' && url.includes('/blobs/'));
    assert.equal(sent.length, 1, 'the config of the image');
    const digests = async (name: string) => (await documentOf(name)).layers!.map(({ digest }) => digest);
    assert.deepEqual(await digests('pushed/elsewhere'), await digests('pushed/image'));
  });

  test('several caches of a build go to their places, and come from several', async () => {
    const context = newContext();
    await rig.one.kiln.build(context, [
      ...['--export-cache', registryCache('several/a', ',mode=min')],
      ...['--export-cache', registryCache('several/b', ',mode=max')],
      ...['--output', `type=image,name=${rig.registry.host}/several/image,push=true`],
    ]);
    assert.ok(
      (await documentOf('several/b')).layers!.length > (await documentOf('several/a')).layers!.length,
    );
    const found = await rig.other.kiln.build(context, [
      ...['--import-cache', registryCache('several/none')],
      ...['--import-cache', registryCache('several/a')],
    ]);
    assert.deepEqual(found.events.steps('ran'), []);
    assert.match(found.events.vertex('several/none').error ?? '', /not found/);
  });
});

describe('a cache inside an image', () => {
  test('is found by another machine', async () => {
    const context = newContext();
    const image = `${rig.registry.host}/inline`;
    await rig.one.kiln.build(context, [
      ...['--export-cache', 'type=inline'],
      ...['--output', `type=image,name=${image},push=true`],
    ]);
    const { config } = await documentOf('inline');
    const bytes = await fetch(`http://${rig.registry.host}/v2/inline/blobs/${config!.digest}`);
    const json = (await bytes.json()) as Readonly<Record<string, string>>;
    const records = JSON.parse(Buffer.from(json['moby.buildkit.cache.v0']!, 'base64').toString());
    assert.ok(records.length > 3);
    const found = await rig.other.kiln.build(context, ['--import-cache', `type=registry,ref=${image}`]);
    assert.deepEqual(found.events.steps('ran'), []);
  });

  test('is in that of each platform', async () => {
    const context = newContext('FROM scratch\nCOPY file.txt /file.txt\n');
    const image = `${rig.registry.host}/inline-platforms`;
    const platforms = ['--platform', 'linux/amd64,linux/arm64'];
    await rig.one.kiln.build(context, [
      ...platforms,
      ...['--cache-to', 'type=inline', '--output', `type=image,name=${image},push=true`],
    ]);
    const { manifests } = await documentOf('inline-platforms');
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
    const context = newContext();
    await rig.one.kiln.build(context, ['--output', `type=image,name=${rig.registry.host}/plain,push=true`]);
    const { config } = await documentOf('plain');
    const bytes = await fetch(`http://${rig.registry.host}/v2/plain/blobs/${config!.digest}`);
    assert.equal('moby.buildkit.cache.v0' in ((await bytes.json()) as object), false);
  });
});

describe('a directory of the client', () => {
  test('takes a cache under a tag, and gives it', async () => {
    const context = newContext();
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
    const context = newContext();
    await rig.one.kiln.build(newContext(), ['--cache-to', `type=local,dest=${directory},mode=max`]);
    const first = blobs();
    await rig.one.kiln.build(context, ['--cache-to', `type=local,dest=${directory},mode=max`]);
    assert.ok(blobs() > first);
    await rig.one.kiln.build(context, ['--cache-to', `type=local,dest=${directory},mode=max,reset=true`]);
    assert.equal(blobs(), first);
    const found = await rig.other.kiln.build(context, ['--cache-from', `type=local,src=${directory}`]);
    assert.deepEqual(found.events.steps('ran'), []);
  });

  test('that does not exist yet is no import, and no failure', async () => {
    const context = newContext();
    const missing = `type=local,src=${rig.work.at('missing')}`;
    assert.equal(
      (await rig.one.kiln.build(context, ['--import-cache', missing])).events.steps('ran').length,
      6,
    );
    assert.equal(existsSync(rig.work.at('missing')), false);
  });
});

describe('a cache that is of no use', () => {
  test('delays nothing that the machine has itself, though its server never answers', async () => {
    const context = newContext();
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
    const context = newContext();
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
    const context = newContext();
    await rig.one.kiln.build(context, ['--export-cache', registryCache('lost', ',mode=max')]);
    const { layers } = await documentOf('lost');
    const { digest } = layers!.at(-1)!;
    const hex = digest.slice('sha256:'.length);
    for (const file of [`repositories/lost/_layers/sha256/${hex}`, `blobs/sha256/${hex.slice(0, 2)}/${hex}`])
      rmSync(path.join(rig.registry.storage, 'docker/registry/v2', file), { recursive: true });
    const built = await rig.other.kiln.build(context, ['--cache-from', registryCache('lost')]);
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
    const { stderr } = await rig.one.kiln.failingBuild(newContext(), [
      ...['--export-cache', `type=registry,ref=${proxy.host}/refused`],
    ]);
    assert.match(stderr, /error writing layer blob.*403/s);
  });

  test('does not fail a build that can do without', async () => {
    await using proxy = await FaultProxy.start(rig.registry.host, refuse);
    const built = await rig.one.kiln.build(newContext(), [
      ...['--export-cache', `type=registry,ref=${proxy.host}/ignored,ignore-error=true`],
    ]);
    assert.match(built.events.vertex('exporting cache to registry').error ?? '', /403/);
  });

  test('of a wrong type or with wrong options is refused before anything runs', async () => {
    const context = newContext();
    const failure = async (options: string) =>
      (await rig.one.kiln.failingBuild(context, ['--export-cache', options])).stderr;
    assert.match(await failure('type=unheard-of'), /unknown cache exporter: "unheard-of"/);
    assert.match(await failure('type=registry,ref=UPPER/x:y:z'), /invalid image reference/);
    assert.match(
      await failure(registryCache('x', ',oci-mediatypes=false,image-manifest=true')),
      /OCI mediatypes are required/,
    );
    assert.match(await failure(registryCache('x', ',compression=lzma')), /unsupported compression type/);
    const twice = ['--export-cache', registryCache('x'), '--export-cache', registryCache('x', ',mode=max')];
    assert.match((await rig.one.kiln.failingBuild(context, twice)).stderr, /duplicate cache exports/);
  });
});
