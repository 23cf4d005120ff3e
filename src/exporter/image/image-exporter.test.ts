import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Digest } from '../../base/digest.ts';
import { parsePlatform } from '../../base/platform.ts';
import { type Manifest, parseManifest } from '../../oci/manifest.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import { type RegistryRig, startRegistry } from '../../registry/registry-rig.ts';
import type { SessionManager } from '../../session/session.ts';
import { createExportRig, type ExportRig } from '../export-rig.ts';
import type { ExporterType } from '../exporter.ts';
import { createArchiveExporter } from './archive-exporter.ts';
import { createImageExporter } from './image-exporter.ts';
import { createImageStore, type ImageStore } from './image-store.ts';

const run = promisify(execFile);

let rig: ExportRig;
let registryRig: RegistryRig;
let tree: string;
let images: ImageStore;
let imageExporter: ExporterType;
let oci: ExporterType;
let docker: ExporterType;
const cleanUp = new AsyncDisposableStack();

before(async () => {
  rig = cleanUp.use(await createExportRig());
  registryRig = cleanUp.use(await startRegistry());
  const registry = cleanUp.use(createRegistry({ retry: { attempts: 1, firstDelay: 1 } }));
  tree = path.join(rig.directory, 'tree');
  await mkdir(path.join(tree, 'etc'), { recursive: true });
  await writeFile(path.join(tree, 'etc/motd'), 'hello\n', { mode: 0o640 });
  await writeFile(path.join(tree, 'data'), Buffer.alloc(200_000, 'data'));
  images = createImageStore(cleanUp.adopt(new DatabaseSync(':memory:'), (database) => database.close()));
  imageExporter = createImageExporter({
    ...rig,
    registry,
    images,
    credentials: { login: async () => undefined, token: async () => undefined },
  });
  const sessions = {} as SessionManager;
  oci = createArchiveExporter('oci', { ...rig, sessions });
  docker = createArchiveExporter('docker', { ...rig, sessions });
});

after(() => cleanUp.disposeAsync());

const config = (extra: object = {}) =>
  Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', config: { Cmd: ['/app'] }, ...extra }));

async function skopeo<T>(...args: string[]): Promise<T> {
  return JSON.parse((await run('skopeo', args)).stdout) as T;
}

test('a pushed image is what the registry serves and skopeo reads', async () => {
  const name = `${registryRig.host}/team/app:1,${registryRig.host}/team/app:2`;
  const exporter = imageExporter.open({ name, push: 'true' });
  const input = rig.input([rig.result(tree, { config: config() })]);
  const response = await exporter.export(input, rig.context);
  assert.equal(response['image.name'], name);
  for (const tag of ['1', '2']) {
    const inspected = await skopeo<{ Digest: string; Layers: string[]; Architecture: string }>(
      'inspect',
      '--tls-verify=false',
      `docker://${registryRig.host}/team/app:${tag}`,
    );
    assert.equal(inspected.Digest, response['containerimage.digest']);
    assert.equal(inspected.Architecture, 'amd64');
    assert.equal(inspected.Layers.length, 1);
  }
  const descriptor = JSON.parse(Buffer.from(response['containerimage.descriptor']!, 'base64').toString());
  assert.equal(descriptor.digest, response['containerimage.digest']);
  assert.deepEqual(descriptor.platform, { architecture: 'amd64', os: 'linux' });
  const kept = await images.get(`${registryRig.host}/team/app:1`);
  assert.equal(kept?.target.digest, response['containerimage.digest']);
  assert.ok(images.holds(response['containerimage.config.digest'] as never));
  for (const { blobs } of await images.list()) assert.equal(blobs.length, 3);
});

test('an image pushed by digest leaves tags alone', async () => {
  const exporter = imageExporter.open({
    name: `${registryRig.host}/untagged`,
    push: 'true',
    'push-by-digest': 'true',
    store: 'false',
  });
  const response = await exporter.export(rig.input([rig.result(tree)]), rig.context);
  const address = `docker://${registryRig.host}/untagged@${response['containerimage.digest']}`;
  await skopeo('inspect', '--no-tags', '--tls-verify=false', address);
  await assert.rejects(
    run('skopeo', ['list-tags', '--tls-verify=false', `docker://${registryRig.host}/untagged`]),
  );
  assert.equal(await images.get(`${registryRig.host}/untagged:latest`), undefined);
});

test('several platforms become an index, with annotations where they were asked for', async () => {
  const exporter = imageExporter.open({
    name: `${registryRig.host}/multi:1`,
    push: 'true',
    'annotation-index.team': 'kiln',
    'annotation[linux/arm64].only': 'arm',
    'annotation-manifest-descriptor.every': 'entry',
  });
  const results = ['linux/amd64', 'linux/arm64'].map((key) =>
    rig.result(tree, { key, platform: parsePlatform(key) }),
  );
  const response = await exporter.export(rig.input(results), rig.context);
  const address = `docker://${registryRig.host}/multi:1`;
  const index = await skopeo<{
    annotations: object;
    manifests: { digest: string; platform: { architecture: string }; annotations: object }[];
  }>('inspect', '--raw', '--tls-verify=false', address);
  assert.deepEqual(index.annotations, { team: 'kiln' });
  assert.deepEqual(
    index.manifests.map(({ platform }) => platform.architecture),
    ['amd64', 'arm64'],
  );
  assert.deepEqual(index.manifests[0]!.annotations, { every: 'entry' });
  assert.equal(response['containerimage.config.digest'], undefined);
  const arm = await skopeo<{ annotations?: object }>(
    'inspect',
    '--raw',
    '--tls-verify=false',
    `docker://${registryRig.host}/multi@${index.manifests[1]!.digest}`,
  );
  assert.deepEqual(arm.annotations, { only: 'arm' });
});

test('an OCI tarball is read by skopeo and unpacked by umoci', async () => {
  const exporter = oci.open({ name: 'example.org/app:2', compression: 'gzip' });
  const input = rig.input([rig.result(tree, { config: config() })]);
  const response = await exporter.export(input, rig.context);
  assert.equal(response['image.name'], 'example.org/app:2');
  const inspected = await skopeo<{ Digest: string }>('inspect', `oci-archive:${rig.outputFile}:2`);
  assert.equal(inspected.Digest, response['containerimage.digest']);
  const layout = path.join(rig.directory, 'layout');
  await mkdir(layout);
  await run('tar', ['-xf', rig.outputFile, '-C', layout]);
  const index = JSON.parse(await readFile(path.join(layout, 'index.json'), 'utf8'));
  assert.equal(index.manifests[0].annotations['io.containerd.image.name'], 'example.org/app:2');
  assert.equal(index.manifests[0].annotations['org.opencontainers.image.ref.name'], '2');
  const bundle = path.join(rig.directory, 'bundle');
  await run('umoci', ['unpack', '--image', `${layout}:2`, bundle]);
  assert.equal(await readFile(path.join(bundle, 'rootfs/etc/motd'), 'utf8'), 'hello\n');
});

test('a docker tarball is read by skopeo, with or without a name', async () => {
  await docker.open({ name: 'app' }).export(rig.input([rig.result(tree, { config: config() })]), rig.context);
  const named = await skopeo<{ RepoTags: string[] }>('inspect', `docker-archive:${rig.outputFile}`);
  assert.ok(named);
  const { stdout } = await run('tar', ['-xOf', rig.outputFile, 'manifest.json']);
  assert.deepEqual(JSON.parse(stdout)[0].RepoTags, ['app:latest']);
  await docker.open({}).export(rig.input([rig.result(undefined)]), rig.context);
  const plain = await run('tar', ['-xOf', rig.outputFile, 'manifest.json']);
  assert.equal(JSON.parse(plain.stdout)[0].RepoTags, null);
});

test('with an epoch the same files give the same archive, byte by byte', async () => {
  const exported = async () => {
    const exporter = oci.open({
      name: 'same',
      'source-date-epoch': '1700000000',
      'rewrite-timestamp': 'true',
    });
    await exporter.export(rig.input([rig.result(tree, { config: config() })]), rig.context);
    return readFile(rig.outputFile);
  };
  const first = await exported();
  assert.ok((await exported()).equals(first));
  assert.ok(first.includes('"org.opencontainers.image.created":"2023-11-14T22:13:20Z"'));
});

test('an image of estargz layers says where the contents of each layer are listed, and other tools read it', async () => {
  const name = `${registryRig.host}/team/estargz:1`;
  const attributes = { name, push: 'true', compression: 'estargz', 'oci-mediatypes': 'false' };
  await imageExporter.open(attributes).export(rig.input([rig.result(tree)]), rig.context);
  const source = `docker://${name}`;
  const { layers } = await skopeo<{ layers: { mediaType: string; annotations: Record<string, string> }[] }>(
    'inspect',
    '--tls-verify=false',
    '--raw',
    source,
  );
  assert.equal(layers[0]!.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip');
  assert.match(layers[0]!.annotations['containerd.io/snapshot/stargz/toc.digest']!, /^sha256:/);
  const layout = path.join(rig.directory, 'estargz');
  await run('skopeo', ['copy', '--src-tls-verify=false', source, `oci:${layout}:1`]);
  await run('umoci', ['unpack', '--image', `${layout}:1`, `${layout}-unpacked`]);
  assert.equal(await readFile(`${layout}-unpacked/rootfs/etc/motd`, 'utf8'), 'hello\n');
});

test('docker media types are used throughout when OCI ones are not wanted', async () => {
  const exporter = docker.open({ 'oci-mediatypes': 'false' });
  await exporter.export(rig.input([rig.result(tree)]), rig.context);
  const manifest = await skopeo<{ mediaType: string; layers: { mediaType: string }[] }>(
    'inspect',
    '--raw',
    `docker-archive:${rig.outputFile}`,
  );
  assert.equal(manifest.mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
});

test('attributes that make no sense are refused when the output is opened', () => {
  const cases: readonly (readonly [Record<string, string>, string, RegExp])[] = [
    [{ compression: 'nydus' }, 'unimplemented', /nydus is not supported/],
    [{ compression: 'rar' }, 'invalid_argument', /unsupported compression type "rar"/],
    [{ 'compression-level': '10' }, 'invalid_argument', /out of range for gzip/],
    [{ push: 'maybe' }, 'invalid_argument', /non-bool value "maybe" specified for push/],
    [{ push: 'true' }, 'invalid_argument', /needs a name/],
    [{ name: 'Upper' }, 'invalid_argument', /lower-case/],
    [{ 'source-date-epoch': 'today' }, 'invalid_argument', /non-integer value "today"/],
    [{ 'annotation-layer.x': '1' }, 'invalid_argument', /unrecognized annotation type layer/],
    [{ unpack: 'true', 'rewrite-timestamp': 'true' }, 'invalid_argument', /conflicts with "unpack"/],
  ];
  for (const [attributes, code, message] of cases) {
    assert.throws(() => imageExporter.open(attributes), { code, message });
  }
});

test('the docker format refuses several platforms, and index annotations need an index', async () => {
  const several = rig.input([rig.result(tree, { key: 'linux/amd64' })]);
  await assert.rejects(docker.open({}).export(several, rig.context), { code: 'invalid_argument' });
  const annotated = oci.open({ 'annotation-index.a': 'b' });
  await assert.rejects(annotated.export(rig.input([rig.result(tree)]), rig.context), {
    message: /index annotations not supported/,
  });
});

test('a push that fails says which name and where', async () => {
  const exporter = imageExporter.open({ name: '127.0.0.1:1/app', push: 'true' });
  await assert.rejects(exporter.export(rig.input([rig.result(tree)]), rig.context), {
    code: 'unavailable',
    message: 'failed to push 127.0.0.1:1/app: 127.0.0.1:1/app: cannot reach 127.0.0.1:1: connection refused',
  });
});

test('older ways to make results write the media types of Docker where nothing else is asked for', async () => {
  const mediaTypeOf = async (
    exporter: ExporterType,
    attributes: Record<string, string>,
    version?: number,
  ) => {
    const input = { ...rig.input([rig.result(tree)]), compatibilityVersion: version };
    const response = await exporter.open(attributes).export(input, rig.context);
    const text = Buffer.from(response['containerimage.descriptor']!, 'base64').toString();
    return (JSON.parse(text) as { mediaType: string }).mediaType.includes('docker') ? 'docker' : 'oci';
  };
  assert.equal(await mediaTypeOf(imageExporter, {}), 'oci');
  assert.equal(await mediaTypeOf(imageExporter, {}, 30), 'oci');
  assert.equal(await mediaTypeOf(imageExporter, {}, 20), 'docker');
  assert.equal(await mediaTypeOf(imageExporter, { 'oci-mediatypes': 'true' }, 10), 'oci');
  assert.equal(await mediaTypeOf(imageExporter, { 'oci-mediatypes': 'false' }, 30), 'docker');
  assert.equal(await mediaTypeOf(oci, {}, 10), 'oci');
  assert.equal(await mediaTypeOf(docker, {}, 10), 'docker');
  assert.equal(await mediaTypeOf(imageExporter, { compression: 'zstd' }, 20), 'docker');
  await assert.rejects(mediaTypeOf(imageExporter, { compression: 'zstd' }, 10), {
    message: 'unsupported compatibility-version 10 feature image exporter compression=zstd',
  });
  await assert.rejects(mediaTypeOf(imageExporter, { 'oci-artifact': 'true' }, 20), {
    message: /"oci-artifact=true" conflicts with "oci-mediatypes=false"/,
  });
});

test('layers of a publisher are pushed like others, or left with it where that is preferred', async () => {
  const foreign = createImageExporter({
    ...rig,
    registry: cleanUp.use(createRegistry({ retry: { attempts: 1, firstDelay: 1 } })),
    images,
    credentials: { login: async () => undefined, token: async () => undefined },
    layerExport: {
      ...rig.layerExport,
      blobs: async (ref, options) =>
        (await rig.layerExport.blobs(ref, options)).map((layer) => ({
          ...layer,
          descriptor: {
            ...layer.descriptor,
            mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
            urls: ['https://example.com/layer'],
          },
        })),
    },
  });
  const layerOf = async (attributes: Record<string, string>) => {
    const input = rig.input([rig.result(tree)]);
    const response = await foreign.open(attributes).export(input, rig.context);
    const manifest = await rig.content.readAll(response['containerimage.digest'] as Digest);
    return parseManifest(manifest, 'the manifest') as Manifest;
  };
  const name = `${registryRig.host}/foreign:1`;
  const [plain] = (await layerOf({ name, push: 'true' })).layers;
  assert.equal(plain?.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip');
  assert.equal(plain.urls, undefined);
  const blob = await fetch(`http://${registryRig.host}/v2/foreign/blobs/${plain.digest}`, { method: 'HEAD' });
  assert.ok(blob.ok);
  const [left] = (await layerOf({ 'prefer-nondist-layers': 'true' })).layers;
  assert.equal(left?.mediaType, 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip');
  assert.deepEqual(left.urls, ['https://example.com/layer']);
  const [inDocker] = (await layerOf({ 'prefer-nondist-layers': 'true', 'oci-mediatypes': 'false' })).layers;
  assert.deepEqual(inDocker?.urls, left.urls);
});

test('an annotation for a platform that is not built is an error where several are', async () => {
  const attributes = { 'annotation[linux/s390x].for': 'another', 'annotation.for': 'all' };
  const results = ['linux/amd64', 'linux/arm64'].map((key) =>
    rig.result(tree, { key, platform: parsePlatform(key) }),
  );
  await assert.rejects(imageExporter.open(attributes).export(rig.input(results), rig.context), {
    message: 'invalid annotation: no platform linux/s390x found in source',
  });
  const response = await imageExporter.open(attributes).export(rig.input([rig.result(tree)]), rig.context);
  const manifest = await rig.content.readAll(response['containerimage.digest'] as Digest);
  assert.deepEqual(parseManifest(manifest, 'the manifest').annotations, { for: 'all' });
});

test('an image is unpacked where that is asked for', async () => {
  const unpacked: string[] = [];
  const result = rig.result(tree);
  const ref = { ...result.ref!, layerDirs: async () => [unpacked.push('unpacked').toString()] };
  const input = rig.input([{ ...result, ref }]);
  await imageExporter.open({ name: 'example.org/unpacked' }).export(input, rig.context);
  assert.deepEqual(unpacked, []);
  await imageExporter.open({ name: 'example.org/unpacked', unpack: 'true' }).export(input, rig.context);
  assert.deepEqual(unpacked, ['unpacked']);
  assert.throws(() => imageExporter.open({ unpack: 'true', 'rewrite-timestamp': 'true' }), {
    message: /"rewrite-timestamp" conflicts with "unpack"/,
  });
});
