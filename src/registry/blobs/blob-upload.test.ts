import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { mediaTypes } from '../../oci/descriptor.ts';
import { parseReference } from '../../oci/reference.ts';
import { type ChooseFault, FaultProxy } from '../fault-proxy-rig.ts';
import { createRegistry } from '../http-registry.ts';
import { access, openPushRig, type PushRig, quick } from '../push-rig.ts';

const megabyte = 1024 * 1024;

let rig: PushRig;
before(async () => {
  rig = await openPushRig();
});
after(() => rig[Symbol.asyncDispose]());

/** Uploads random bytes through a proxy, and returns the sizes of the bodies that it was sent, by method. */
async function upload(size: number, choose: ChooseFault) {
  const layer = await rig.blob(randomBytes(size), mediaTypes.ociLayer);
  await using proxy = await FaultProxy.start(rig.host, choose);
  await using registry = createRegistry({ retry: quick });
  const name = `uploads/${layer.digest.slice(7, 20)}`;
  const reference = parseReference(`${proxy.host}/${name}`);
  assert.equal(await registry.pushBlob(reference, layer, rig.bodyOf(layer), access()), 'uploaded');
  const stored = await fetch(`http://${rig.host}/v2/${name}/blobs/${layer.digest}`, { method: 'HEAD' });
  assert.equal(stored.headers.get('content-length'), String(size));
  const sizes = (wanted: string) =>
    proxy.requests
      .filter(({ method }) => method === wanted)
      .map(({ headers }) => Number(headers['content-length']));
  return { puts: sizes('PUT'), patches: sizes('PATCH'), gets: sizes('GET') };
}

test('a blob is sent in one request', async () => {
  const { puts, patches } = await upload(20 * megabyte, () => undefined);
  assert.deepEqual([puts, patches], [[20 * megabyte], []]);
});

test('a server that limits requests gets chunks, as small as it wants them', async () => {
  const { puts, patches } = await upload(9 * megabyte, ({ headers }) =>
    Number(headers['content-length'] ?? 0) > 3 * megabyte ? { kind: 'status', status: 413 } : undefined,
  );
  assert.deepEqual(puts, [9 * megabyte, 0]);
  const taken = patches.filter((size) => size <= 3 * megabyte);
  assert.equal(
    taken.reduce((sum, size) => sum + size, 0),
    9 * megabyte,
  );
});

test('a large upload that breaks is repeated in chunks, and goes on after the last whole one when that breaks, too', async () => {
  let broken = 0;
  const { puts, patches, gets } = await upload(40 * megabyte, ({ method }, count) => {
    const much = method === 'PUT' && broken === 0;
    const later = method === 'PATCH' && broken === 1 && count > 8;
    if (!much && !later) return undefined;
    broken++;
    return much ? { kind: 'reset', after: 30 * megabyte } : { kind: 'status', status: 502 };
  });
  assert.equal(broken, 2);
  assert.deepEqual(puts, [40 * megabyte, 0]);
  assert.equal(gets.length, 1);
  // Of the five chunks one is sent twice.
  assert.deepEqual(patches, Array(6).fill(8 * megabyte));
});

test('an upload that its server never takes ends with the host and the reason', async () => {
  const refused = upload(megabyte, ({ method }) =>
    method === 'PUT'
      ? { kind: 'status', status: 400, body: '{"errors":[{"code":"SIZE_INVALID"}]}' }
      : undefined,
  );
  await assert.rejects(refused, {
    code: 'failed_precondition',
    message: /127\.0\.0\.1:\d+\/uploads\/.* answered 400 to PUT .*SIZE_INVALID/,
  });
});
