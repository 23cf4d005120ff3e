import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { silentProgress } from '../../base/progress.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { formatReference } from '../../oci/reference.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import { access, openPushRig, type PushRig, quick } from '../../registry/push-rig.ts';
import { pushContent } from './push-content.ts';

let rig: PushRig;
before(async () => {
  rig = await openPushRig();
});
after(() => rig[Symbol.asyncDispose]());

test('a manifest is sent unless its name stands for it already and the registry has all that is in it', async () => {
  await using proxy = await rig.startMeddler(() => false);
  await using registry = createRegistry({ retry: quick });
  const pushed = await rig.push(proxy.host, 'unchanged:1');
  const { reference, manifest, bytes } = pushed;
  const parsed = parseManifest(bytes, formatReference(reference), manifest.mediaType);
  assert.ok(parsed.kind === 'manifest');
  const { config, layers } = parsed;
  const blobs = [config, ...layers].map((descriptor) => ({ descriptor, ...rig.bodyOf(descriptor) }));
  const document = { descriptor: manifest, bytes };
  const context = { signal: access().signal, progress: silentProgress };
  /** What is sent when the same is pushed again. */
  const sent = async (to = reference) => {
    const before = proxy.requests.length;
    const content = { blobs, manifests: [document] };
    await pushContent(content, to, { auth: access().auth, insecure: false }, registry, context);
    assert.equal((await registry.resolve(to, access())).digest, manifest.digest);
    return proxy.requests
      .slice(before)
      .filter(({ method }) => method !== 'HEAD')
      .map(({ method, url }) => `${method} ${/manifests|blobs/.exec(url!)![0]}`);
  };
  assert.deepEqual(await sent(), []);
  assert.deepEqual(await sent({ ...reference, tag: '2' }), ['PUT manifests']);
  assert.deepEqual(
    await sent({ domain: reference.domain, path: reference.path, digest: manifest.digest }),
    [],
  );

  const other = await rig.push(proxy.host, 'unchanged:1');
  assert.notEqual(other.manifest.digest, manifest.digest);
  assert.deepEqual(await sent(), ['PUT manifests']);

  const gone = `http://${rig.host}/v2/unchanged/blobs/${layers[0]!.digest}`;
  assert.equal((await fetch(gone, { method: 'DELETE' })).status, 202);
  assert.deepEqual(await sent(), ['POST blobs', 'PUT blobs', 'PUT manifests']);
});
