import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../../base/digest.ts';
import { hostPlatform } from '../../base/platform.ts';
import { silentProgress } from '../../base/progress.ts';
import { secretsService } from '../../client-services/secrets-service.ts';
import { uploadService, uploadUrl } from '../../client-services/upload-service.ts';
import { createContentChecksums } from '../../content-hash/content-checksums.ts';
import { HttpRig } from '../../http/http-rig.ts';
import type { ChecksumQuestion } from '../../llb/http-metadata-message.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { openRefStoreRig } from '../../ref/ref-store-rig.ts';
import { createClientCredentials } from '../../session/requests/client-credentials.ts';
import { openSessionRig } from '../../session/session-rig.ts';
import type { SourceContext } from '../source.ts';
import { HttpDownloads } from './http-downloads.ts';
import { createHttpSource } from './http-source.ts';

let dir: string;
let resources: AsyncDisposableStack;
let database: DatabaseSync;
let diskUsage: DiskUsage;
let server: HttpRig;
let source: ReturnType<typeof createHttpSource>;

beforeEach(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-http-source-'));
  resources = new AsyncDisposableStack();
  resources.defer(() => rmSync(dir, { recursive: true }));
  const rig = await openRefStoreRig(dir, resources, { onRemoved: (id) => downloads.forgetRef(id) });
  const { pool, refStore } = rig;
  ({ database, diskUsage } = rig);
  const downloads = new HttpDownloads(database);
  const client = resources.use(
    await openSessionRig([
      secretsService([
        { id: 'named', kind: 'environment', variable: 'PATH' },
        { id: 'HTTP_AUTH_TOKEN_127.0.0.1', kind: 'environment', variable: 'HOME' },
      ]),
      uploadService(new Map([['one', uploaded()]])),
    ]),
  );
  session = client.session.id;
  const credentials = createClientCredentials(client.sessions, { directory: path.join(dir, 'sockets') });
  const checksums = createContentChecksums({ database, pool });
  const retry = { attempts: 3, firstDelay: 1 };
  source = resources.use(
    createHttpSource({
      downloads,
      refStore,
      checksums,
      credentials,
      sessions: client.sessions,
      retry,
    }),
  );
  server = resources.use(await HttpRig.start());
});
afterEach(() => resources.disposeAsync());

/** That of the client with the secrets; builds have none by default. */
let session: string;

async function* uploaded() {
  yield Buffer.from('sent by ');
  yield Buffer.from('the client');
}

interface Asked {
  readonly attrs?: Readonly<Record<string, string>>;
  readonly sessions?: readonly string[];
  readonly signal?: AbortSignal;
  readonly held?: ImmutableRef[];
}

function contextOf({ sessions = [], signal = new AbortController().signal, held }: Asked): SourceContext {
  return {
    signal,
    progress: silentProgress,
    sessions: () => sessions,
    hold: (ref) => held?.push(ref.clone()),
  };
}

/** As another build would see it: what an earlier one found out counts only as far as it is kept. */
async function build(url: string, asked: Asked = {}) {
  const instance = source.open({ identifier: url, attrs: asked.attrs ?? {} }, hostPlatform());
  const context = contextOf(asked);
  const key = await instance.key(context);
  return { ...key, snapshot: () => instance.snapshot(context) };
}

async function fileOf(ref: ImmutableRef) {
  const [layer] = await ref.layerDirs();
  const names = readdirSync(layer!);
  assert.equal(names.length, 1, `the tree has ${names}`);
  const file = path.join(layer!, names[0]!);
  const { mode, uid, gid, mtime } = statSync(file);
  const owner = `${uid}:${gid}`;
  return { name: names[0], text: readFileSync(file, 'utf8'), mode: mode & 0o7777, owner, mtime };
}

const lastModified = 'Fri, 02 Feb 2001 03:04:05 GMT';

test('a file has the name in its URL, mode 0600 and the time that the server says', async () => {
  const url = server.serve('/dir/a%20b.txt?x=1', {
    content: 'hello',
    headers: { 'last-modified': lastModified },
  });
  const { pin, snapshot } = await build(url);
  assert.equal(pin, digestOf('hello'));
  assert.deepEqual(await fileOf(await snapshot()), {
    ...{ name: 'a b.txt', text: 'hello', mode: 0o600, owner: '0:0' },
    mtime: new Date(Date.UTC(2001, 1, 2, 3, 4, 5)),
  });
  const { type, description } = (await diskUsage.list())[0]!;
  assert.deepEqual({ type, description }, { type: 'regular', description: `http url ${url}` });
});

test('without a time of the server the file is from 1970, and attributes say name, mode and owner', async () => {
  const url = server.serve('/file', { content: 'x' });
  const attrs = { 'http.filename': 'other/name', 'http.perm': '0741', 'http.uid': '12', 'http.gid': '34' };
  assert.deepEqual(await fileOf(await (await build(url, { attrs })).snapshot()), {
    ...{ name: 'name', text: 'x', mode: 0o741, owner: '12:34', mtime: new Date(0) },
  });
});

test('the server may name the file, but not lead out of the tree', async () => {
  const named = {
    content: 'x',
    headers: { 'content-disposition': 'attachment; filename="../../named.txt"' },
  };
  const { snapshot } = await build(server.serve('/download?id=1', named));
  assert.equal((await fileOf(await snapshot())).name, 'named.txt');
  const root = await build(server.serve('/', { content: 'x' }));
  assert.equal((await fileOf(await root.snapshot())).name, 'download');
});

test('a file that did not change is not downloaded again: the server is asked with HEAD', async () => {
  const url = server.serve('/file', { content: 'one', etag: '"1"' });
  const first = await build(url);
  const second = await build(url);
  assert.deepEqual(server.methods('/file'), ['GET', 'HEAD']);
  assert.equal(server.requests('/file')[1]!.headers['if-none-match'], '"1"');
  assert.deepEqual(
    server.requests('/file').map(({ headers }) => headers['accept-encoding']),
    ['gzip', 'gzip'],
  );
  assert.equal(second.digest, first.digest);
  assert.equal((await second.snapshot()).id, (await first.snapshot()).id);

  server.serve('/file', { content: 'two', etag: '"2"' });
  const third = await build(url);
  assert.deepEqual(server.methods('/file'), ['GET', 'HEAD', 'HEAD', 'GET']);
  assert.notEqual(third.digest, first.digest);
  assert.equal((await fileOf(await third.snapshot())).text, 'two');

  // Both versions are known now.
  server.serve('/file', (request, response) => {
    assert.equal(request.headers['if-none-match'], '"2", "1"');
    response.writeHead(304, { etag: 'W/"1"' }).end();
  });
  assert.equal((await build(url)).digest, first.digest);
});

test('a server that does not know HEAD, or does not repeat the name of the version, is understood', async () => {
  const listener: RequestListener = (request, response) => {
    if (request.method === 'HEAD') response.writeHead(405).end();
    else if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
    else response.writeHead(200, { etag: '"1"' }).end('one');
  };
  const url = server.serve('/file', listener);
  const first = await build(url);
  assert.equal((await build(url)).digest, first.digest);
  assert.deepEqual(server.methods('/file'), ['GET', 'HEAD', 'GET']);
});

test('the name of a version counts for its own URL only', async () => {
  const one = await build(server.serve('/one/file', { content: 'one', etag: '"same"' }));
  const two = await build(server.serve('/two/file', { content: 'two', etag: '"same"' }));
  assert.deepEqual(server.methods('/two/file'), ['GET']);
  assert.notEqual(one.digest, two.digest);
});

test('equal files from anywhere are kept once, and have one key', async () => {
  const one = await build(server.serve('/one/file', { content: 'same', etag: '"1"' }));
  const two = await build(server.serve('/two/file', { content: 'same' }));
  assert.equal(one.digest, two.digest);
  assert.equal((await one.snapshot()).id, (await two.snapshot()).id);
  assert.equal((await diskUsage.list(['type==regular'])).length, 1);
});

test('a known checksum needs no request, and no download when the file is here', async () => {
  const url = server.serve('/file', { content: 'hello' });
  const attrs = { 'http.checksum': digestOf('hello') };
  const first = await build(url, { attrs });
  assert.deepEqual(server.methods('/file'), []);
  const ref = await first.snapshot();
  assert.equal((await fileOf(ref)).text, 'hello');
  assert.deepEqual(server.methods('/file'), ['GET']);
  const second = await build(url, { attrs });
  assert.equal(second.digest, first.digest);
  assert.equal((await second.snapshot()).id, ref.id);
  assert.deepEqual(server.methods('/file'), ['GET']);
});

test('a checksum that does not match names both digests, and leaves nothing', async () => {
  const url = server.serve('/file', { content: 'hello' });
  const wanted = digestOf('something else');
  const { snapshot } = await build(url, { attrs: { 'http.checksum': wanted } });
  await assert.rejects(snapshot(), {
    code: 'failed_precondition',
    message: `cannot download ${url}: digest mismatch ${digestOf('hello')}: ${wanted} was expected`,
  });
  assert.deepEqual(await diskUsage.list(['type==regular']), []);
});

test('a file that was pruned after its key was made is downloaded again, if it is still the same', async () => {
  const url = server.serve('/file', { content: 'one', etag: '"1"' });
  const prune = async () => {
    for await (const _ of diskUsage.prune({ all: true }));
  };
  const first = await build(url);
  await prune();
  const ref = await first.snapshot();
  assert.equal((await fileOf(ref)).text, 'one');
  await ref.release();

  const second = await build(url);
  await prune();
  server.serve('/file', { content: 'two', etag: '"2"' });
  await assert.rejects(second.snapshot(), /digest mismatch/);
});

test('a file is held as long as the builds that found it', async () => {
  const url = server.serve('/file', { content: 'one' });
  const held: ImmutableRef[] = [];
  const { snapshot } = await build(url, { held });
  for await (const _ of diskUsage.prune({ all: true }));
  server.serve('/file', { content: 'two' });
  assert.equal((await fileOf(await snapshot())).text, 'one');
  assert.deepEqual(server.methods('/file'), ['GET']);
  assert.equal(held.length, 1);
});

test('frontends and policies can ask what a URL names', async () => {
  const headers = { 'last-modified': lastModified, 'content-disposition': 'attachment; filename="my file"' };
  const url = server.serve('/file', { content: 'hello', headers });
  const ask = (attrs = {}, checksum?: ChecksumQuestion) =>
    source.resolveFile({ identifier: url, attrs }, checksum, contextOf({}));
  const known = { digest: digestOf('hello'), filename: 'my file', lastModified: new Date(lastModified) };
  assert.deepEqual(await ask(), { ...known, checksum: undefined });
  const suffix = Buffer.from(' and more');
  assert.deepEqual(await ask({}, { algorithm: 'sha512', suffix }), {
    ...known,
    checksum: { digest: `sha512:${createHash('sha512').update('hello and more').digest('hex')}`, suffix },
  });
  const requests = server.requests('/file').length;
  const pinned = { 'http.checksum': digestOf('hello') };
  assert.deepEqual(await ask(pinned), {
    ...{ digest: digestOf('hello'), filename: 'file', lastModified: undefined, checksum: undefined },
  });
  assert.equal(server.requests('/file').length, requests);
});

test('one client sees one file under a URL, however often its builds look', async () => {
  const url = server.serve('/file', { content: 'one' });
  const first = await build(url, { sessions: [session] });
  server.serve('/file', { content: 'two' });
  assert.equal((await build(url, { sessions: [session] })).digest, first.digest);
  assert.deepEqual(server.methods('/file'), ['GET']);
});

test('builds that want the same at the same time share a download', async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const url = server.serve('/file', (_, response) => {
    asked.resolve();
    void go.promise.then(() => response.end('shared'));
  });
  const stop = new AbortController();
  const builds = [build(url), build(url), build(url, { signal: stop.signal })];
  await asked.promise;
  stop.abort();
  await assert.rejects(builds[2]!, { code: 'canceled' });
  go.resolve();
  const [one, two] = await Promise.all(builds.slice(0, 2));
  assert.equal(one!.digest, two!.digest);
  assert.deepEqual(server.methods('/file'), ['GET']);
});

test('aborting ends the transfer and leaves nothing', async () => {
  const begun = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const url = server.serve('/file', (_, response) => {
    response.once('close', () => closed.resolve());
    response.write('the beginning', () => begun.resolve());
  });
  const stop = new AbortController();
  const failing = build(url, { signal: stop.signal });
  await begun.promise;
  stop.abort();
  await assert.rejects(failing, { code: 'canceled' });
  await closed.promise;
  await source[Symbol.asyncDispose]();
  assert.deepEqual(await diskUsage.list(['type==regular']), []);
});

test('what a server sends compressed is stored as it is meant', async () => {
  const headers = { 'content-encoding': 'gzip' };
  const url = server.serve('/file.txt', { content: gzipSync('plain text'), headers });
  const { pin, snapshot } = await build(url);
  assert.equal(pin, digestOf('plain text'));
  assert.equal((await fileOf(await snapshot())).text, 'plain text');
  const damaged = server.serve('/damaged', { content: 'no gzip at all', headers });
  await assert.rejects(build(damaged), { code: 'data_loss' });
});

test('servers and connections that fail for a moment are asked again', async () => {
  let turn = 0;
  const url = server.serve('/file', (_, response) => {
    if (++turn === 1) response.writeHead(503).end();
    else if (turn === 2) {
      response.writeHead(200, { 'content-length': '100' });
      response.write('the beginning', () => response.destroy());
    } else response.end('all of it');
  });
  assert.equal((await fileOf(await (await build(url)).snapshot())).text, 'all of it');
  assert.equal(turn, 3);
});

test('errors name the URL without its password, and what the server said', async () => {
  const missing = server.url('/missing');
  await assert.rejects(build(missing), {
    code: 'not_found',
    message: `cannot download ${missing}: invalid response status 404 (Not Found)`,
  });
  assert.deepEqual(server.methods('/missing'), ['GET']);
  server.serve('/private', (_, response) => response.writeHead(401).end());
  await assert.rejects(build(`http://me:secret@${server.host}/private`), {
    code: 'unauthenticated',
    message: `cannot download http://me:xxxxx@${server.host}/private: invalid response status 401 (Unauthorized)`,
  });
  server.serve('/broken', (_, response) => response.writeHead(500).end());
  await assert.rejects(build(server.url('/broken')), { code: 'unavailable', message: /status 500/ });
  assert.equal(server.requests('/broken').length, 3);
  const gone = await HttpRig.start();
  const unreachable = gone.url('/');
  await gone[Symbol.asyncDispose]();
  await assert.rejects(build(unreachable), { code: 'unavailable', message: /connection refused/ });
});

test('redirects are followed, and take credentials to no other host or port', async () => {
  await using neighbour = await HttpRig.start();
  const nextDoor = neighbour.serve('/target', { content: 'moved' });
  server.serve('/next-door', (_, response) => response.writeHead(302, { location: nextDoor }).end());
  const target = server.serve('/target', { content: 'moved' });
  const elsewhere = target.replace('127.0.0.1', 'localhost');
  server.serve('/here', (_, response) => response.writeHead(302, { location: '/target' }).end());
  server.serve('/there', (_, response) => response.writeHead(307, { location: elsewhere }).end());
  server.serve('/round', (_, response) => response.writeHead(301, { location: '/round' }).end());
  server.serve('/out', (_, response) => response.writeHead(301, { location: 'file:///etc/passwd' }).end());
  const own = `http://me:secret@${server.host}`;
  const { snapshot } = await build(`${own}/here`);
  assert.equal((await fileOf(await snapshot())).name, 'here');
  await build(`${own}/there`);
  await build(`${own}/next-door`);
  assert.deepEqual(
    neighbour.requests('/target').map(({ headers }) => headers.authorization),
    [undefined],
  );
  assert.deepEqual(
    server.requests('/target').map(({ headers }) => headers.authorization),
    [`Basic ${Buffer.from('me:secret').toString('base64')}`, undefined],
  );
  await assert.rejects(build(server.url('/round')), /gave up after 10 redirects/);
  await assert.rejects(build(server.url('/out')), /redirects to a URL of file:/);
});

test('credentials are secrets of the client, by the name in the definition or by the host', async () => {
  const url = server.serve('/file', { content: 'x' });
  await build(url, { sessions: [session], attrs: { 'http.authheadersecret': 'named' } });
  await build(url, { sessions: [session] });
  await build(url);
  assert.deepEqual(
    server.requests('/file').map(({ headers }) => headers.authorization),
    [process.env.PATH, `Bearer ${process.env.HOME}`, undefined],
  );
  const unknown = build(url, { sessions: [session], attrs: { 'http.authheadersecret': 'unknown' } });
  await assert.rejects(unknown, { code: 'not_found', message: /no secret "unknown"/ });
});

test('definitions may set some headers', async () => {
  const url = server.serve('/file', { content: 'x' });
  const attrs = {
    'http.header.accept': 'text/x',
    'http.header.user-agent': 'me',
    'http.header.cookie': 'no',
  };
  await build(url, { attrs });
  const { accept, 'user-agent': agent, cookie } = server.requests('/file')[0]!.headers;
  assert.deepEqual({ accept, agent, cookie }, { accept: 'text/x', agent: 'me', cookie: undefined });
});

test('a stream of the client has a URL, too', async () => {
  const attrs = { 'http.filename': 'context' };
  const { pin, snapshot } = await build(uploadUrl('one'), { sessions: [session], attrs });
  assert.equal(pin, digestOf('sent by the client'));
  assert.equal((await fileOf(await snapshot())).text, 'sent by the client');
  await assert.rejects(build(uploadUrl('two'), { sessions: [session], attrs }), {
    code: 'not_found',
    message: /no upload "two"/,
  });
});

test('attributes and URLs that cannot be are refused, signatures by name', () => {
  const open = (identifier: string, attrs = {}) => source.open({ identifier, attrs }, hostPlatform());
  const attributes = [{ 'http.checksum': 'md5:1' }, { 'http.perm': 'rwx' }, { 'http.uid': '-1' }];
  for (const attrs of attributes) {
    const [name] = Object.keys(attrs);
    assert.throws(() => open('http://host/', attrs), {
      code: 'invalid_argument',
      message: new RegExp(`invalid ${name}`),
    });
  }
  assert.throws(() => open('http://'), { code: 'invalid_argument' });
  assert.throws(() => open('http://host/', { 'http.sig.signature': 'x', 'http.sig.pubkey': 'y' }), {
    code: 'unimplemented',
    message: /http\.sig\.pubkey/,
  });
});
