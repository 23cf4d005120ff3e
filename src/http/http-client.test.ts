import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { KilnError } from '../base/errors.ts';
import { ClosingServer } from './closing-server-rig.ts';
import { HttpClient, type HttpRequest } from './http-client.ts';
import { HttpRig, selfSigned } from './http-rig.ts';
import { RawServer } from './raw-server-rig.ts';
import { discard } from './read-body.ts';

const signal = new AbortController().signal;
const canceled = new KilnError('canceled', 'enough');

const requestTo = ({ url }: RawServer, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url,
  headers: {},
  ...more,
});

/** Sends `chunks` of 64 KB, or goes on for ever, and tells when it was given up. */
class Upload {
  given = 0;
  ended = false;
  readonly #chunks: number;

  constructor(chunks = Number.POSITIVE_INFINITY) {
    this.#chunks = chunks;
  }

  readonly open = async () => this.#read();

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      for (; this.given < this.#chunks; this.given++) yield Buffer.alloc(64 * 1024);
    } finally {
      this.ended = true;
    }
  }
}

test('a proxy of the environment is asked for what is elsewhere, as a plain request', async (t) => {
  await using proxy = await HttpRig.start();
  const before = { http_proxy: process.env.http_proxy, no_proxy: process.env.no_proxy };
  t.after(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  process.env.http_proxy = proxy.url('');
  process.env.no_proxy = 'near.invalid';
  using client = new HttpClient();
  const get = async (url: string) => {
    const request = { method: 'GET', url: new URL(url), headers: {} } as const;
    return await text((await client.send(request, signal)).body);
  };

  proxy.serve('http://far.invalid/file?x=1', { content: 'through the proxy' });
  assert.equal(await get('http://far.invalid/file?x=1'), 'through the proxy');
  await assert.rejects(get('http://near.invalid/'), { syscall: 'getaddrinfo', hostname: 'near.invalid' });
  proxy.serve('/own', { content: 'of this machine' });
  assert.equal(await get(proxy.url('/own')), 'of this machine');
});

test('a server may close the connection while a slow reader is not done', async () => {
  const data = Buffer.alloc(3 * 1024 * 1024);
  await using server = await RawServer.start((socket) => {
    socket.write(`HTTP/1.0 200 OK\r\nContent-Length: ${data.length}\r\n\r\n`);
    socket.end(data);
  });
  await using disk = await open('/dev/null', 'w');
  using client = new HttpClient();
  for (let turn = 0; turn < 40; turn++) {
    const { body } = await client.send(requestTo(server), signal);
    let size = 0;
    for await (const chunk of body) {
      await disk.write(chunk);
      size += chunk.length;
    }
    assert.equal(size, data.length);
  }
});

test('a connection that breaks before the body is read fails its reader and nobody else', async () => {
  await using server = await RawServer.start((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun');
    socket.destroySoon();
  });
  using client = new HttpClient();
  const { body } = await client.send(requestTo(server), signal);
  await new Promise((resolve) => body.once('close', resolve));
  await assert.rejects(text(body), { code: 'ECONNRESET' });
  await discard(body);
});

test('a refusal before a body was read whole is the answer, and ends the sending', async () => {
  for (const status of ['401 Unauthorized', '413 Content Too Large', '307 Temporary Redirect']) {
    await using server = await RawServer.start((socket) => {
      socket.pause();
      socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 3\r\n\r\nno!`);
    });
    using client = new HttpClient();
    const upload = new Upload();
    const request = requestTo(server, { method: 'PUT', body: upload.open });
    const answer = await client.send(request, signal);
    assert.equal(`${answer.status}`, status.slice(0, 3));
    assert.equal(upload.ended, true);
    assert.equal(await text(answer.body), 'no!');
    await server.left();
  }
});

test('a refusal whose server closes at once is the answer, though the next write fails, also over TLS', async () => {
  const refusal = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!';
  for (const tls of [undefined, await selfSigned()]) {
    await using server = await ClosingServer.start(refusal, tls);
    using client = new HttpClient({ tls: { rejectUnauthorized: false } });
    for (let turn = 0; turn < 10; turn++) {
      const body = async () => server.upload();
      const request = { method: 'PUT', url: server.url, headers: {}, body } as const;
      const answer = await client.send(request, signal);
      assert.equal(answer.status, 413);
      assert.equal(await text(answer.body), 'no!');
    }
  }
});

test('a body is sent no faster than it is taken, in chunks or with its length', async () => {
  await using rig = await HttpRig.start();
  const seen: { size: number; length: string | undefined; chunked: string | undefined }[] = [];
  const upload = new Upload(160);
  rig.serve('/', async (request, response) => {
    let size = 0;
    for await (const chunk of request) {
      // What the kernel keeps between the two is far less than everything.
      if (size === 0) assert.ok(upload.given < 160);
      size += (chunk as Buffer).length;
    }
    const { 'content-length': length, 'transfer-encoding': chunked } = request.headers;
    seen.push({ size, length, chunked });
    response.end();
  });
  using client = new HttpClient();
  const size = 160 * 64 * 1024;
  for (const headers of [{}, { 'content-length': String(size) }] as Record<string, string>[]) {
    upload.given = 0;
    const request = { method: 'PUT', url: new URL(rig.url('/')), headers, body: upload.open } as const;
    await discard((await client.send(request, signal)).body);
  }
  assert.deepEqual(seen, [
    { size, length: undefined, chunked: 'chunked' },
    { size, length: String(size), chunked: undefined },
  ]);
});

test('a body that is not as long as was said fails, and what its source says is passed on', async () => {
  await using server = await RawServer.start((socket) => socket.resume());
  using client = new HttpClient();
  for (const length of [64 * 1024 - 1, 64 * 1024 + 1]) {
    const headers = { 'content-length': String(length) };
    const body = new Upload(1).open;
    await assert.rejects(client.send(requestTo(server, { method: 'PUT', headers, body }), signal), {
      code: 'data_loss',
    });
  }
  const lost = new KilnError('not_found', 'no such blob');
  const body = () => Promise.reject(lost);
  await assert.rejects(client.send(requestTo(server, { method: 'PUT', body }), signal), lost);
  await server.left();
});

test('silence has an end: of a server that does not answer, does not take, or sends no more', async () => {
  using client = new HttpClient({ timeouts: { answer: 100, stall: 100 } });
  await using mute = await RawServer.start((socket) => socket.resume());
  await assert.rejects(client.send(requestTo(mute), signal), { code: 'ERR_ANSWER_TIMEOUT' });
  await mute.left();

  await using full = await RawServer.start((socket) => socket.pause());
  const upload = new Upload();
  await assert.rejects(client.send(requestTo(full, { method: 'PUT', body: upload.open }), signal), {
    code: 'ERR_TRANSFER_STALLED',
  });
  assert.equal(upload.ended, true);
  await full.left();

  await using halfway = await RawServer.start((socket) =>
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun'),
  );
  const { body } = await client.send(requestTo(halfway), signal);
  await assert.rejects(text(body), { code: 'ERR_TRANSFER_STALLED' });
  await halfway.left();
});

test('a reader that takes its time is not taken for a silent server', async () => {
  const data = Buffer.alloc(8 * 1024 * 1024);
  await using server = await RawServer.start((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${data.length}\r\n\r\n`);
    socket.write(data);
  });
  using client = new HttpClient({ timeouts: { stall: 50 } });
  const { body } = await client.send(requestTo(server), signal);
  let size = 0;
  for await (const chunk of body) {
    if (size === 0) await delay(300);
    size += (chunk as Buffer).length;
  }
  assert.equal(size, data.length);
});

test('cancellation ends whatever a request is doing, and its connection', async () => {
  const phases: Record<string, (socket: Socket) => void> = {
    answering: (socket) => socket.resume(),
    sending: (socket) => socket.pause(),
    reading: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun'),
  };
  for (const [phase, answer] of Object.entries(phases)) {
    const stop = new AbortController();
    await using server = await RawServer.start((socket) => {
      answer(socket);
      setImmediate(() => stop.abort(canceled));
    });
    using client = new HttpClient();
    const upload = new Upload();
    const body = phase === 'sending' ? ({ method: 'PUT', body: upload.open } as const) : {};
    const request = requestTo(server, body);
    await assert.rejects(async () => text((await client.send(request, stop.signal)).body), canceled, phase);
    if (phase === 'sending') assert.equal(upload.ended, true);
    await assert.rejects(client.send(request, stop.signal), canceled);
    await server.left();
    assert.equal(server.accepted, 1);
  }
});

test('a connection is used again, and one that its server has just closed is no failure', async () => {
  let requests = 0;
  await using server = await RawServer.start((socket) => {
    const answer = () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    requests++;
    answer();
    socket.on('data', () => {
      requests++;
      if (requests === 3) socket.destroy();
      else answer();
    });
  });
  using client = new HttpClient();
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(await text((await client.send(requestTo(server), signal)).body), 'ok');
  }
  assert.equal(server.accepted, 2);
  assert.equal(requests, 4);
});

test('what is no answer is an error: an upgrade, a header without an end, something else than HTTP', async () => {
  const answers = [
    ['HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n', 'ERR_NO_ANSWER'],
    [`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`, 'HPE_HEADER_OVERFLOW'],
    ['SSH-2.0-server\r\n', 'HPE_INVALID_CONSTANT'],
    ['', 'ECONNRESET'],
  ] as const;
  for (const [answer, code] of answers) {
    await using server = await RawServer.start((socket) => socket.end(answer));
    using client = new HttpClient();
    await assert.rejects(client.send(requestTo(server), signal), { code });
    await server.left();
  }
});
