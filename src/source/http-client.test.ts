import assert from 'node:assert/strict';
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
