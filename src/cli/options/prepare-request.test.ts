import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { DefinitionSchema, OpSchema } from '../../api/gen/ops_pb.js';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { SolveRequest } from '../../client/solve-request.ts';
import { buildCommand } from '../build-command.ts';
import type { BuildFlags } from './build-flags.ts';
import { prepareRequest } from './prepare-request.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kiln-request-'));
  await writeFile(join(directory, 'Dockerfile'), 'FROM scratch\n');
});
after(() => rm(directory, { recursive: true }));

const is = (code: string) => (error: unknown) => error instanceof KilnError && error.code === code;

/** What a command line asks for. */
async function prepare(args: readonly string[], stdin: Uint8Array | string = '', environment = {}) {
  let parsed: { flags: BuildFlags; path: string | undefined } | undefined;
  const command = buildCommand()
    .exitOverride()
    .action((path: string | undefined, flags: BuildFlags) => {
      parsed = { flags, path };
    });
  await command.parseAsync(args, { from: 'user' });
  const { flags, path } = parsed!;
  const input = Readable.from([Buffer.from(stdin)]);
  return prepareRequest(flags, path, { environment, stdin: input, stdoutIsTerminal: false });
}

async function request(args: readonly string[], environment = {}): Promise<SolveRequest> {
  await using prepared = await prepare(args, '', environment);
  return prepared.request;
}

async function options(args: readonly string[], environment = {}): Promise<Readonly<Record<string, string>>> {
  const { source } = await request(args, environment);
  assert.equal(source.kind, 'frontend');
  return source.kind === 'frontend' ? source.options : {};
}

test('the short form builds the Dockerfile of a directory', async () => {
  const { source, locals, outputs } = await request(['-t', 'app:1', '-t', 'app:latest', directory]);
  assert.deepEqual(source, {
    kind: 'frontend',
    frontend: 'dockerfile.v0',
    options: { filename: 'Dockerfile' },
  });
  assert.deepEqual(Object.fromEntries(locals), { context: directory, dockerfile: directory });
  assert.deepEqual(outputs, [
    { kind: 'engine', exporter: 'image', attributes: { name: 'app:1,app:latest' } },
  ]);
});

test("the short flags become the frontend's options, and --opt wins", async () => {
  const flags = [
    ['--target', 'bin'],
    ['--build-arg', 'A=1'],
    ['--build-arg', 'B'],
    ['--build-arg', 'MISSING'],
    ['--label', 'l=x=y'],
    ['--platform', 'linux/amd64,arm64'],
    ['--no-cache'],
    ['--pull'],
    ['--add-host', 'one:10.0.0.1'],
    ['--add-host', 'six=[::1]'],
    ['--network', 'none'],
    ['--shm-size', '64m'],
    ['--ulimit', 'nofile=10:20'],
    ['--ulimit', 'cpu=5'],
    ['--opt', 'target=other'],
    ['--opt', 'build-arg:C'],
  ].flat();
  assert.deepEqual(await options([...flags, directory], { B: 'two', C: 'three', SOURCE_DATE_EPOCH: '7' }), {
    filename: 'Dockerfile',
    'build-arg:SOURCE_DATE_EPOCH': '7',
    'build-arg:A': '1',
    'build-arg:B': 'two',
    'build-arg:C': 'three',
    'label:l': 'x=y',
    platform: 'linux/amd64,linux/arm64',
    'no-cache': '',
    'image-resolve-mode': 'pull',
    'add-hosts': 'one=10.0.0.1,six=::1',
    'force-network-mode': 'none',
    'shm-size': '67108864',
    ulimit: 'nofile=10:20,cpu=5:5',
    target: 'other',
  });
});

test('the cache can be ignored for some stages only', async () => {
  const found = await options(['--no-cache-filter', 'a', '--no-cache-filter', 'b', directory]);
  assert.equal(found['no-cache'], 'a,b');
});

test('a Dockerfile elsewhere has its own directory, and one that is missing is named', async () => {
  const other = join(directory, 'other');
  await mkdir(other);
  await writeFile(join(other, 'App.Dockerfile'), '');
  const { source, locals } = await request(['-f', join(other, 'App.Dockerfile'), directory]);
  assert.equal(source.kind === 'frontend' && source.options.filename, 'App.Dockerfile');
  assert.equal(locals.get('dockerfile'), other);
  await assert.rejects(request(['-f', join(directory, 'nope'), directory]), is('not_found'));
  await assert.rejects(request([join(directory, 'nowhere')]), is('not_found'));
  await assert.rejects(request([join(directory, 'Dockerfile')]), is('invalid_argument'));
});

test('a Dockerfile on standard input is a temporary file of the request', async () => {
  let made: string;
  {
    await using prepared = await prepare(['-f', '-', directory], 'FROM scratch\n# stdin\n');
    made = prepared.request.locals.get('dockerfile')!;
    assert.match(await readFile(join(made, 'Dockerfile'), 'utf8'), /stdin/);
    assert.equal(prepared.request.locals.get('context'), directory);
  }
  await assert.rejects(stat(made));
  await using alone = await prepare(['-'], 'FROM scratch\n');
  assert.ok((await stat(alone.request.locals.get('context')!)).isDirectory());
});

test('an archive on standard input is sent as it is', async () => {
  const archive = gzipSync(Buffer.alloc(10_240));
  await using prepared = await prepare(['-f', 'App', '-'], archive);
  const { source, locals, uploads } = prepared.request;
  const [[id, data] = []] = uploads;
  assert.deepEqual(source.kind === 'frontend' && source.options, {
    context: `http://buildkit-session/${id}`,
    filename: 'App',
  });
  assert.equal(locals.size, 0);
  assert.deepEqual(await buffer(data!), archive);
  await assert.rejects(prepare(['-f', 'App', '-'], 'FROM scratch\n'), is('invalid_argument'));
  await assert.rejects(prepare(['-f', '-', '-'], archive), is('invalid_argument'));
});

test('an address as PATH is left to the engine', async () => {
  const address = 'https://example.test/repo.git#main:dir';
  const { source, locals } = await request(['-f', 'build/Dockerfile', address]);
  assert.deepEqual(source.kind === 'frontend' && source.options, {
    context: address,
    filename: 'build/Dockerfile',
  });
  assert.equal(locals.size, 0);
  const here = await request(['-f', join(directory, 'Dockerfile'), address]);
  assert.deepEqual(here.source.kind === 'frontend' && here.source.options, {
    ...{ context: address, filename: 'Dockerfile', dockerfilekey: 'dockerfile' },
  });
  assert.deepEqual([...here.locals], [['dockerfile', directory]]);
});

test('named contexts are directories, layouts with resolved tags, or what the engine fetches', async () => {
  const layout = join(directory, 'layout');
  const digest = digestOf('manifest');
  await mkdir(layout);
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
  await writeFile(join(layout, 'index.json'), JSON.stringify({ manifests: [{ digest, annotations }] }));
  const contexts = [
    `base=oci-layout://${layout}:v1`,
    `context=${directory}`,
    `src=${directory}`,
    'img=docker-image://busybox',
  ];
  const { source, locals, layouts } = await request([
    ...contexts.flatMap((text) => ['--build-context', text]),
    directory,
  ]);
  assert.deepEqual(source.kind === 'frontend' && source.options, {
    filename: 'Dockerfile',
    'context:base': `oci-layout://context-0:v1@${digest}`,
    'context:context': 'local:_context',
    'context:src': 'local:src',
    'context:img': 'docker-image://busybox',
  });
  assert.deepEqual(Object.fromEntries(layouts), { 'context-0': layout });
  assert.deepEqual(Object.fromEntries(locals), {
    context: directory,
    dockerfile: directory,
    _context: directory,
    src: directory,
  });
  await assert.rejects(
    request(['--build-context', `base=oci-layout://${layout}:v2`, directory]),
    (error) => is('not_found')(error) && (error as KilnError).hint === 'it has v1',
  );
});

test("buildctl's form passes everything on as it is", async () => {
  const flags = [
    '--frontend',
    'gateway.v0',
    '--opt',
    'source=example.test/frontend',
    '--local',
    'context=/a',
    '--oci-layout',
    'x=/b',
  ];
  const { source, locals, layouts } = await request([...flags, '--allow', 'network.host']);
  assert.deepEqual(source, {
    kind: 'frontend',
    frontend: 'gateway.v0',
    options: { source: 'example.test/frontend' },
  });
  assert.deepEqual(Object.fromEntries(locals), { context: '/a' });
  assert.deepEqual(Object.fromEntries(layouts), { x: '/b' });
  await assert.rejects(request([...flags, '--allow', 'everything']), is('invalid_argument'));
});

test('without PATH and frontend, LLB is read from standard input', async () => {
  const op = toBinary(
    OpSchema,
    create(OpSchema, { action: { case: 'source', value: { identifier: 'local://x' } } }),
  );
  const llb = toBinary(DefinitionSchema, create(DefinitionSchema, { ops: [op] }));
  await using plain = await prepare([], llb);
  assert.deepEqual(
    plain.request.source.kind === 'definition' && plain.request.source.definition.metadata,
    new Map(),
  );
  await using uncached = await prepare(['--no-cache'], llb);
  const { source } = uncached.request;
  assert.equal(
    source.kind === 'definition' && source.definition.metadata.get(digestOf(op))?.ignoreCache,
    true,
  );
  await assert.rejects(prepare([], ''), is('invalid_argument'));
  await assert.rejects(prepare([], '\x08\x01 not LLB'), is('invalid_argument'));
  await assert.rejects(prepare(['--target', 'name'], llb), is('invalid_argument'));
});

test('--push and --tag complete the outputs, or say why they cannot', async () => {
  const outputs = async (...flags: string[]) => (await request([...flags, directory])).outputs;
  assert.deepEqual(await outputs('--push', '-t', 'r/a'), [
    { kind: 'engine', exporter: 'image', attributes: { name: 'r/a', push: 'true' } },
  ]);
  assert.deepEqual((await outputs('-o', 'type=oci,dest=x', '-t', 'a'))[0]?.attributes, { name: 'a' });
  assert.deepEqual((await outputs('-o', 'dir', '-t', 'a'))[0]?.attributes, {});
  await assert.rejects(outputs('--push'), is('invalid_argument'));
  await assert.rejects(outputs('--push', '-o', 'dir'), is('invalid_argument'));
  await assert.rejects(outputs('-o', '-', '-o', 'type=oci'), is('invalid_argument'));
  await assert.rejects(outputs('--load', '-o', 'type=image,store=false'), is('invalid_argument'));
});

test('an s3 cache without credentials gets those of the environment or of the profile', async () => {
  const flag = ['--export-cache', 'type=s3,bucket=b,region=r', directory];
  const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key', AWS_SESSION_TOKEN: 'token' };
  const [exported] = (await request(flag, { ...keys, HOME: directory })).cacheExports;
  assert.deepEqual(exported?.attributes, {
    mode: 'min',
    bucket: 'b',
    region: 'r',
    access_key_id: 'id',
    secret_access_key: 'key',
    session_token: 'token',
  });
  const own = 'type=s3,bucket=b,region=r,access_key_id=mine,secret_access_key=own';
  const [imported] = (await request(['--import-cache', own, directory], keys)).cacheImports;
  assert.equal(imported?.attributes.access_key_id, 'mine');
  assert.equal(imported?.attributes.session_token, undefined);
  const [without] = (await request(flag, { HOME: directory })).cacheExports;
  assert.equal(without?.attributes.access_key_id, undefined);
});
