import assert from 'node:assert/strict';
import { createHash, hash } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { hostPlatform } from '../../base/platform.ts';
import type { ChecksumQuestion } from '../../llb/source-metadata.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { OpenPgpSigner } from '../signatures/signer-rig.ts';
import { contextOf, fileOf, type HttpSourceRig, openHttpSourceRig } from './http-source-rig.ts';

let rig: HttpSourceRig;
beforeEach(async () => {
  rig = await openHttpSourceRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const lastModified = 'Fri, 02 Feb 2001 03:04:05 GMT';

test('a file has the name in its URL, mode 0600 and the time that the server says', async () => {
  const url = rig.server.serve('/dir/a%20b.txt?x=1', {
    content: 'hello',
    headers: { 'last-modified': lastModified },
  });
  const { pin, snapshot } = await rig.build(url);
  assert.equal(pin, digestOf('hello'));
  assert.deepEqual(await fileOf(await snapshot()), {
    ...{ name: 'a b.txt', text: 'hello', mode: 0o600, owner: '0:0' },
    mtime: new Date(Date.UTC(2001, 1, 2, 3, 4, 5)),
  });
  const { type, description } = (await rig.diskUsage.list())[0]!;
  assert.deepEqual({ type, description }, { type: 'regular', description: `http url ${url}` });
});

test('without a time of the server the file is from 1970, and attributes say name, mode and owner', async () => {
  const url = rig.server.serve('/file', { content: 'x' });
  const attrs = { 'http.filename': 'other/name', 'http.perm': '0741', 'http.uid': '12', 'http.gid': '34' };
  assert.deepEqual(await fileOf(await (await rig.build(url, { attrs })).snapshot()), {
    ...{ name: 'name', text: 'x', mode: 0o741, owner: '12:34', mtime: new Date(0) },
  });
});

test('the server may name the file, but not lead out of the tree', async () => {
  const named = {
    content: 'x',
    headers: { 'content-disposition': 'attachment; filename="../../named.txt"' },
  };
  const { snapshot } = await rig.build(rig.server.serve('/download?id=1', named));
  assert.equal((await fileOf(await snapshot())).name, 'named.txt');
  const root = await rig.build(rig.server.serve('/', { content: 'x' }));
  assert.equal((await fileOf(await root.snapshot())).name, 'download');
});

test('a file that did not change is not downloaded again: the server is asked with HEAD', async () => {
  const url = rig.server.serve('/file', { content: 'one', etag: '"1"' });
  const first = await rig.build(url);
  const second = await rig.build(url);
  assert.deepEqual(rig.server.methods('/file'), ['GET', 'HEAD']);
  assert.equal(rig.server.requests('/file')[1]!.headers['if-none-match'], '"1"');
  assert.deepEqual(
    rig.server.requests('/file').map(({ headers }) => headers['accept-encoding']),
    ['gzip', 'gzip'],
  );
  assert.equal(second.digest, first.digest);
  assert.equal((await second.snapshot()).id, (await first.snapshot()).id);

  rig.server.serve('/file', { content: 'two', etag: '"2"' });
  const third = await rig.build(url);
  assert.deepEqual(rig.server.methods('/file'), ['GET', 'HEAD', 'HEAD', 'GET']);
  assert.notEqual(third.digest, first.digest);
  assert.equal((await fileOf(await third.snapshot())).text, 'two');

  // Both versions are known now.
  rig.server.serve('/file', (request, response) => {
    assert.equal(request.headers['if-none-match'], '"2", "1"');
    response.writeHead(304, { etag: 'W/"1"' }).end();
  });
  assert.equal((await rig.build(url)).digest, first.digest);
});

test('a server that does not know HEAD, or does not repeat the name of the version, is understood', async () => {
  const listener: RequestListener = (request, response) => {
    if (request.method === 'HEAD') response.writeHead(405).end();
    else if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
    else response.writeHead(200, { etag: '"1"' }).end('one');
  };
  const url = rig.server.serve('/file', listener);
  const first = await rig.build(url);
  assert.equal((await rig.build(url)).digest, first.digest);
  assert.deepEqual(rig.server.methods('/file'), ['GET', 'HEAD', 'GET']);
});

test('the name of a version counts for its own URL only', async () => {
  const one = await rig.build(rig.server.serve('/one/file', { content: 'one', etag: '"same"' }));
  const two = await rig.build(rig.server.serve('/two/file', { content: 'two', etag: '"same"' }));
  assert.deepEqual(rig.server.methods('/two/file'), ['GET']);
  assert.notEqual(one.digest, two.digest);
});

test('equal files from anywhere are kept once, and have one key', async () => {
  const one = await rig.build(rig.server.serve('/one/file', { content: 'same', etag: '"1"' }));
  const two = await rig.build(rig.server.serve('/two/file', { content: 'same' }));
  assert.equal(one.digest, two.digest);
  assert.equal((await one.snapshot()).id, (await two.snapshot()).id);
  assert.equal((await rig.diskUsage.list(['type==regular'])).length, 1);
});

test('a known checksum needs no request, and no download when the file is here', async () => {
  const url = rig.server.serve('/file', { content: 'hello' });
  const attrs = { 'http.checksum': digestOf('hello') };
  const first = await rig.build(url, { attrs });
  assert.deepEqual(rig.server.methods('/file'), []);
  const ref = await first.snapshot();
  assert.equal((await fileOf(ref)).text, 'hello');
  assert.deepEqual(rig.server.methods('/file'), ['GET']);
  const second = await rig.build(url, { attrs });
  assert.equal(second.digest, first.digest);
  assert.equal((await second.snapshot()).id, ref.id);
  assert.deepEqual(rig.server.methods('/file'), ['GET']);
});

test('a checksum that does not match names both digests, and leaves nothing', async () => {
  const url = rig.server.serve('/file', { content: 'hello' });
  const wanted = digestOf('something else');
  const { snapshot } = await rig.build(url, { attrs: { 'http.checksum': wanted } });
  await assert.rejects(snapshot(), {
    code: 'failed_precondition',
    message: `cannot download ${url}: digest mismatch ${digestOf('hello')}: ${wanted} was expected`,
  });
  assert.deepEqual(await rig.diskUsage.list(['type==regular']), []);
});

test('a file that was pruned after its key was made is downloaded again, if it is still the same', async () => {
  const url = rig.server.serve('/file', { content: 'one', etag: '"1"' });
  const prune = async () => {
    for await (const _ of rig.diskUsage.prune({ all: true }));
  };
  const first = await rig.build(url);
  await prune();
  const ref = await first.snapshot();
  assert.equal((await fileOf(ref)).text, 'one');
  await ref.release();

  const second = await rig.build(url);
  await prune();
  rig.server.serve('/file', { content: 'two', etag: '"2"' });
  await assert.rejects(second.snapshot(), /digest mismatch/);
});

test('a file is held as long as the builds that found it', async () => {
  const url = rig.server.serve('/file', { content: 'one' });
  const held: ImmutableRef[] = [];
  const { snapshot } = await rig.build(url, { held });
  for await (const _ of rig.diskUsage.prune({ all: true }));
  rig.server.serve('/file', { content: 'two' });
  assert.equal((await fileOf(await snapshot())).text, 'one');
  assert.deepEqual(rig.server.methods('/file'), ['GET']);
  assert.equal(held.length, 1);
});

test('frontends and policies can ask what a URL names', async () => {
  const headers = { 'last-modified': lastModified, 'content-disposition': 'attachment; filename="my file"' };
  const url = rig.server.serve('/file', { content: 'hello', headers });
  const ask = (attrs = {}, checksum?: ChecksumQuestion) =>
    rig.source.resolveFile({ identifier: url, attrs }, checksum, contextOf({}));
  const known = { digest: digestOf('hello'), filename: 'my file', lastModified: new Date(lastModified) };
  assert.deepEqual(await ask(), { ...known, checksum: undefined });
  const suffix = Buffer.from(' and more');
  assert.deepEqual(await ask({}, { algorithm: 'sha512', suffix }), {
    ...known,
    checksum: { digest: `sha512:${createHash('sha512').update('hello and more').digest('hex')}`, suffix },
  });
  const requests = rig.server.requests('/file').length;
  const pinned = { 'http.checksum': digestOf('hello') };
  assert.deepEqual(await ask(pinned), {
    ...{ digest: digestOf('hello'), filename: 'file', lastModified: undefined, checksum: undefined },
  });
  assert.equal(rig.server.requests('/file').length, requests);
});

test('one client sees one file under a URL, however often its builds look', async () => {
  const url = rig.server.serve('/file', { content: 'one' });
  const first = await rig.build(url, { sessions: [rig.session] });
  rig.server.serve('/file', { content: 'two' });
  assert.equal((await rig.build(url, { sessions: [rig.session] })).digest, first.digest);
  assert.deepEqual(rig.server.methods('/file'), ['GET']);
});

test('a checksum can be of another algorithm, and is that of the file that the server has now', async () => {
  const url = rig.server.serve('/other', { content: 'right' });
  for (const algorithm of ['sha384', 'sha512']) {
    const checksum = (text: string) => `${algorithm}:${hash(algorithm, text, 'hex')}`;
    const { pin, snapshot } = await rig.build(url, { attrs: { 'http.checksum': checksum('right') } });
    assert.equal(pin, digestOf('right'));
    assert.equal((await fileOf(await snapshot())).text, 'right');
    await assert.rejects(rig.build(url, { attrs: { 'http.checksum': checksum('wrong') } }), {
      code: 'failed_precondition',
      message: `digest mismatch ${checksum('right')}: ${checksum('wrong')} was expected`,
    });
  }
});

test('a file has to have the detached signature that is given for it, also when it is here already', async () => {
  using signer = await OpenPgpSigner.create();
  const url = rig.server.serve('/signed', { content: 'signed' });
  const attrs = { 'http.sig.pubkey': signer.publicKey, 'http.sig.signature': await signer.sign('signed') };
  const checksum = { 'http.checksum': digestOf('signed') };
  for (const more of [{}, checksum]) {
    const { snapshot } = await rig.build(url, { attrs: { ...attrs, ...more } });
    assert.equal((await fileOf(await snapshot())).text, 'signed');
    const forged = { ...attrs, ...more, 'http.sig.signature': await signer.sign('other') };
    await assert.rejects(rig.build(url, { attrs: forged }), {
      code: 'failed_precondition',
      message: /\/signed: failed to verify pgp signature: signature by [0-9A-F]{16}/,
    });
  }
});

test('attributes and URLs that cannot be are refused', () => {
  const open = (identifier: string, attrs = {}) => rig.source.open({ identifier, attrs }, hostPlatform());
  const attributes = [{ 'http.checksum': 'md5:1' }, { 'http.perm': 'rwx' }, { 'http.uid': '-1' }];
  for (const attrs of attributes) {
    const [name] = Object.keys(attrs);
    assert.throws(() => open('http://me:secret@host/', attrs), {
      code: 'invalid_argument',
      message: new RegExp(`^(?!.*secret).*invalid ${name}`),
    });
  }
  assert.throws(() => open('http://'), { code: 'invalid_argument' });
  assert.throws(() => open('http://me:secret@ho st/'), {
    code: 'invalid_argument',
    message: 'invalid URL "http://xxxxx:xxxxx@ho st/"',
  });
  for (const half of [{ 'http.sig.signature': 'x' }, { 'http.sig.pubkey': 'y' }]) {
    assert.throws(() => open('http://host/', half), {
      code: 'invalid_argument',
      message: /requires both pubkey and signature/,
    });
  }
});
