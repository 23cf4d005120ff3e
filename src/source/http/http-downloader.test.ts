import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../../base/digest.ts';
import { uploadUrl } from '../../client-services/upload-service.ts';
import { HttpRig } from '../../http/http-rig.ts';
import { fileOf, type HttpSourceRig, openHttpSourceRig } from './http-source-rig.ts';

let rig: HttpSourceRig;
beforeEach(async () => {
  rig = await openHttpSourceRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

test('builds that want the same at the same time share a download', async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const url = rig.server.serve('/file', (_, response) => {
    asked.resolve();
    void go.promise.then(() => response.end('shared'));
  });
  const stop = new AbortController();
  const builds = [rig.build(url), rig.build(url), rig.build(url, { signal: stop.signal })];
  await asked.promise;
  stop.abort();
  await assert.rejects(builds[2]!, { code: 'canceled' });
  go.resolve();
  const [one, two] = await Promise.all(builds.slice(0, 2));
  assert.equal(one!.digest, two!.digest);
  assert.deepEqual(rig.server.methods('/file'), ['GET']);
});

test('aborting ends the transfer and leaves nothing', async () => {
  const begun = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const url = rig.server.serve('/file', (_, response) => {
    response.once('close', () => closed.resolve());
    response.write('the beginning', () => begun.resolve());
  });
  const stop = new AbortController();
  const failing = rig.build(url, { signal: stop.signal });
  await begun.promise;
  stop.abort();
  await assert.rejects(failing, { code: 'canceled' });
  await closed.promise;
  await rig.source[Symbol.asyncDispose]();
  assert.deepEqual(await rig.diskUsage.list(['type==regular']), []);
});

test('a file that cannot be kept ends its transfer', async () => {
  const closed = Promise.withResolvers<void>();
  const url = rig.server.serve('/file', (_, response) => {
    response.once('close', () => closed.resolve());
    response.write('the beginning');
  });
  const attrs = { 'http.checksum': digestOf('the beginning'), 'http.filename': 'x'.repeat(300) };
  const { snapshot } = await rig.build(url, { attrs });
  await assert.rejects(snapshot(), /name too long/i);
  await closed.promise;
  assert.deepEqual(await rig.diskUsage.list(['type==regular']), []);
});

test('what a server sends compressed is stored as it is meant', async () => {
  const headers = { 'content-encoding': 'gzip' };
  const url = rig.server.serve('/file.txt', { content: gzipSync('plain text'), headers });
  const { pin, snapshot } = await rig.build(url);
  assert.equal(pin, digestOf('plain text'));
  assert.equal((await fileOf(await snapshot())).text, 'plain text');
  const damaged = rig.server.serve('/damaged', { content: 'no gzip at all', headers });
  await assert.rejects(rig.build(damaged), { code: 'data_loss' });
});

test('servers and connections that fail for a moment are asked again', async () => {
  let turn = 0;
  const url = rig.server.serve('/file', (_, response) => {
    if (++turn === 1) response.writeHead(503).end();
    else if (turn === 2) {
      response.writeHead(200, { 'content-length': '100' });
      response.write('the beginning', () => response.destroy());
    } else response.end('all of it');
  });
  assert.equal((await fileOf(await (await rig.build(url)).snapshot())).text, 'all of it');
  assert.equal(turn, 3);
});

test('errors name the URL without its user and password, and what the server said', async () => {
  const missing = rig.server.url('/missing');
  await assert.rejects(rig.build(missing), {
    code: 'not_found',
    message: `cannot download ${missing}: invalid response status 404 (Not Found)`,
  });
  assert.deepEqual(rig.server.methods('/missing'), ['GET']);
  rig.server.serve('/private', (_, response) => response.writeHead(401).end());
  await assert.rejects(rig.build(`http://me:secret@${rig.server.host}/private`), {
    code: 'unauthenticated',
    message: `cannot download http://xxxxx:xxxxx@${rig.server.host}/private: invalid response status 401 (Unauthorized)`,
  });
  await assert.rejects(rig.build(`http://me:100%@${rig.server.host}/private`), {
    code: 'invalid_argument',
    message: `cannot download http://xxxxx:xxxxx@${rig.server.host}/private: the user or the password in the URL cannot be decoded`,
  });
  rig.server.serve('/broken', (_, response) => response.writeHead(500).end());
  await assert.rejects(rig.build(rig.server.url('/broken')), { code: 'unavailable', message: /status 500/ });
  assert.equal(rig.server.requests('/broken').length, 3);
  const gone = await HttpRig.start();
  const unreachable = gone.url('/');
  await gone[Symbol.asyncDispose]();
  await assert.rejects(rig.build(unreachable), { code: 'unavailable', message: /connection refused/ });
});

test('redirects are followed, and take credentials to no other host or port', async () => {
  await using neighbour = await HttpRig.start();
  const nextDoor = neighbour.serve('/target', { content: 'moved' });
  rig.server.serve('/next-door', (_, response) => response.writeHead(302, { location: nextDoor }).end());
  const target = rig.server.serve('/target', { content: 'moved' });
  const elsewhere = target.replace('127.0.0.1', 'localhost');
  rig.server.serve('/here', (_, response) => response.writeHead(302, { location: '/target' }).end());
  rig.server.serve('/there', (_, response) => response.writeHead(307, { location: elsewhere }).end());
  rig.server.serve('/round', (_, response) => response.writeHead(301, { location: '/round' }).end());
  rig.server.serve('/out', (_, response) =>
    response.writeHead(301, { location: 'file:///etc/passwd' }).end(),
  );
  const own = `http://me:secret@${rig.server.host}`;
  const { snapshot } = await rig.build(`${own}/here`);
  assert.equal((await fileOf(await snapshot())).name, 'here');
  await rig.build(`${own}/there`);
  await rig.build(`${own}/next-door`);
  assert.deepEqual(
    neighbour.requests('/target').map(({ headers }) => headers.authorization),
    [undefined],
  );
  assert.deepEqual(
    rig.server.requests('/target').map(({ headers }) => headers.authorization),
    [`Basic ${Buffer.from('me:secret').toString('base64')}`, undefined],
  );
  await assert.rejects(rig.build(rig.server.url('/round')), /gave up after 10 redirects/);
  await assert.rejects(rig.build(rig.server.url('/out')), /redirects to a URL of file:/);
});

test('credentials are secrets of the client, by the name in the definition or by the host', async () => {
  const url = rig.server.serve('/file', { content: 'x' });
  await rig.build(url, { sessions: [rig.session], attrs: { 'http.authheadersecret': 'named' } });
  await rig.build(url, { sessions: [rig.session] });
  await rig.build(url);
  assert.deepEqual(
    rig.server.requests('/file').map(({ headers }) => headers.authorization),
    [process.env.PATH, `Bearer ${process.env.HOME}`, undefined],
  );
  const unknown = rig.build(url, { sessions: [rig.session], attrs: { 'http.authheadersecret': 'unknown' } });
  await assert.rejects(unknown, { code: 'not_found', message: /no secret "unknown"/ });
});

test('definitions may set some headers', async () => {
  const url = rig.server.serve('/file', { content: 'x' });
  const attrs = {
    'http.header.accept': 'text/x',
    'http.header.user-agent': 'me',
    'http.header.cookie': 'no',
  };
  await rig.build(url, { attrs });
  const { accept, 'user-agent': agent, cookie } = rig.server.requests('/file')[0]!.headers;
  assert.deepEqual({ accept, agent, cookie }, { accept: 'text/x', agent: 'me', cookie: undefined });
});

test('servers are told which BuildKit it is like', async () => {
  const url = rig.server.serve('/agent', { content: 'x' });
  await rig.build(url);
  const { 'user-agent': agent } = rig.server.requests('/agent')[0]!.headers;
  assert.match(String(agent), /^buildkit\/v0\.\d+ kiln\/\d/);
});

test('a stream of the client has a URL, too', async () => {
  const attrs = { 'http.filename': 'context' };
  const { pin, snapshot } = await rig.build(uploadUrl('one'), { sessions: [rig.session], attrs });
  assert.equal(pin, digestOf('sent by the client'));
  assert.equal((await fileOf(await snapshot())).text, 'sent by the client');
  await assert.rejects(rig.build(uploadUrl('two'), { sessions: [rig.session], attrs }), {
    code: 'not_found',
    message: /no upload "two"/,
  });
});
