import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Digest, digestOf } from '../base/digest.ts';
import { type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import { encodeManifest } from '../oci/manifest.ts';
import type { ImageReference } from '../oci/reference.ts';
import { createRegistry } from './http-registry.ts';
import { access, openPushRig, type PushRig, quick } from './push-rig.ts';
import type { Registry } from './registry.ts';

let rig: PushRig;
before(async () => {
  rig = await openPushRig();
});
after(() => rig[Symbol.asyncDispose]());

const mediaType = mediaTypes.ociManifest;

/** Pushes an artifact of a type whose subject is another manifest. */
async function attach(
  registry: Registry,
  reference: ImageReference,
  subject: Descriptor,
  artifactType: string,
): Promise<Digest> {
  const config = await rig.blob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
  await registry.pushBlob(reference, config, rig.bodyOf(config), access());
  const annotations = { 'example.of': artifactType };
  const manifest = {
    kind: 'manifest',
    mediaType,
    config,
    layers: [],
    artifactType,
    subject,
    annotations,
  } as const;
  const bytes = encodeManifest(manifest);
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  const { tag: _, ...untagged } = reference;
  await registry.pushManifest(untagged, descriptor, bytes, access());
  return descriptor.digest;
}

test('a registry that keeps no lists of referrers gets them as a tag, which is read again', async () => {
  await using registry = createRegistry({ retry: quick });
  const { reference, manifest } = await rig.push(rig.host, 'subject:1');
  assert.deepEqual(await registry.referrers(reference, manifest.digest, access()), []);
  const sbom = await attach(registry, reference, manifest, 'example/sbom');
  const signature = await attach(registry, reference, manifest, 'example/signature');
  assert.equal(await attach(registry, reference, manifest, 'example/sbom'), sbom);
  const all = await registry.referrers(reference, manifest.digest, access());
  assert.deepEqual(
    all.map(({ digest, artifactType, annotations }) => [digest, artifactType, annotations?.['example.of']]),
    [
      [sbom, 'example/sbom', 'example/sbom'],
      [signature, 'example/signature', 'example/signature'],
    ],
  );
  const some = await registry.referrers(reference, manifest.digest, {
    ...access(),
    artifactType: 'example/signature',
  });
  assert.deepEqual(
    some.map(({ digest }) => digest),
    [signature],
  );
});

test('a registry that keeps lists of referrers is asked for them, page by page', async () => {
  const entry = (name: string) => ({
    mediaType,
    digest: digestOf(name),
    size: name.length,
    artifactType: 'example/sbom',
  });
  const page = (name: string) =>
    Buffer.from(encodeManifest({ kind: 'index', mediaType: mediaTypes.ociIndex, manifests: [entry(name)] }));
  await using server = await rig.startMeddler((incoming, outgoing) => {
    const url = new URL(incoming.url!, 'http://registry');
    if (!url.pathname.includes('/referrers/')) return false;
    const next = `<${url.pathname}?n=2>; rel="next"`;
    const last = url.searchParams.has('n');
    outgoing.writeHead(200, { 'content-type': mediaTypes.ociIndex, ...(last ? {} : { link: next }) });
    outgoing.end(page(last ? 'second' : 'first'));
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const reference = { domain: server.host, path: 'listed' };
  const found = await registry.referrers(reference, digestOf('subject'), access());
  assert.deepEqual(
    found.map(({ digest }) => digest),
    [digestOf('first'), digestOf('second')],
  );
});

test('a registry that answers something else is an error that names it', async () => {
  await using server = await rig.startMeddler((_, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'text/html' }).end('<html>welcome</html>');
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  await assert.rejects(
    registry.referrers({ domain: server.host, path: 'html' }, digestOf('subject'), access()),
    { code: 'invalid_argument', message: new RegExp(`^${server.host}/html: its referrers`) },
  );
});
