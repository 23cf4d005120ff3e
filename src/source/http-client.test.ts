import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { HttpClient } from './http-client.ts';
import { HttpRig } from './http-rig.ts';

const signal = new AbortController().signal;

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
    const request = { method: 'GET', url: new URL(url), headers: {}, authorization: undefined } as const;
    return await text((await client.send(request, signal)).body);
  };

  proxy.serve('http://far.invalid/file?x=1', { content: 'through the proxy' });
  assert.equal(await get('http://far.invalid/file?x=1'), 'through the proxy');
  await assert.rejects(get('http://near.invalid/'), { code: 'unavailable' });
  proxy.serve('/own', { content: 'of this machine' });
  assert.equal(await get(proxy.url('/own')), 'of this machine');
});

test('a server may close the connection while a slow reader is not done', async () => {
  const data = Buffer.alloc(3 * 1024 * 1024);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(`HTTP/1.0 200 OK\r\nContent-Length: ${data.length}\r\n\r\n`);
      socket.end(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await using disk = await open('/dev/null', 'w');
  using client = new HttpClient();
  for (let turn = 0; turn < 40; turn++) {
    const { body } = await client.send({ method: 'GET', url, headers: {}, authorization: undefined }, signal);
    let size = 0;
    for await (const chunk of body) {
      await disk.write(chunk);
      size += chunk.length;
    }
    assert.equal(size, data.length);
  }
  await new Promise((resolve) => server.close(resolve));
});
