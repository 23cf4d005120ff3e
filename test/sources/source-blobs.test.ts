import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type Digest, digestHex, digestOf, parseDigest } from '../../src/base/digest.ts';
import { asKilnError } from '../../src/base/errors.ts';
import type { SolveRequest } from '../../src/client/solve-request.ts';
import {
  files,
  imageBlob,
  layoutBlob,
  marshalGraph,
  ociLayout,
  type State,
  scratch,
  toDefinition,
  toGraph,
} from '../../src/llb/llb.ts';
import { replaceSources } from '../../src/llb/replace-sources.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { createRegistry } from '../../src/registry/http-registry.ts';
import { anonymousAuth } from '../../src/registry/registry.ts';
import { type RegistryRig, startRegistry } from '../../src/registry/registry-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { craftImage } from '../rig/crafted-image.ts';
import { LlbEngine } from '../rig/llb-engine.ts';

let engine: LlbEngine;
let registry: RegistryRig;
const resources = new AsyncDisposableStack();

before(async () => {
  engine = resources.use(await LlbEngine.open());
  registry = resources.use(await startRegistry());
});

after(() => resources.disposeAsync());

async function push(repository: string, data: Uint8Array): Promise<Digest> {
  await using client = createRegistry();
  const digest = digestOf(data);
  const body = {
    async open() {
      return (async function* () {
        yield data;
      })();
    },
  };
  const descriptor = { mediaType: 'application/octet-stream', digest, size: data.length };
  const access = { signal: AbortSignal.timeout(30_000), auth: anonymousAuth };
  await client.pushBlob(parseReference(`${registry.host}/${repository}`), descriptor, body, access);
  return digest;
}

async function refusal(state: State, request: Partial<SolveRequest> = {}): Promise<string> {
  const error = await engine.solve(state, request).then(
    () => assert.fail('it was built'),
    (reason: unknown) => asKilnError(reason),
  );
  return error.message;
}

/** Of a definition that names a blob as the builder would not. */
async function refusalOfBlob(ref: string): Promise<string> {
  const state = imageBlob(`any@${digestOf('x')}`);
  const graph = toGraph(state);
  const other = { identifier: `docker-image+blob://${ref}`, attrs: {} };
  const definition = marshalGraph(await replaceSources(graph, new Map([[graph.result!.digest, other]])));
  return await refusal(state, { source: { kind: 'definition', definition } });
}

test('a blob of a repository is a file, with the name, mode and owner that it is given', async () => {
  const data = Buffer.from('the bytes of a layer');
  const digest = await push('files', data);
  const ref = `${registry.host}/files@${digest}`;
  const plain = await engine.build(imageBlob(ref));
  assert.deepEqual(readdirSync(plain), [digestHex(digest)]);
  assert.equal(readFileSync(path.join(plain, digestHex(digest)), 'utf8'), data.toString());
  const named = { filename: '../layer.tar', mode: 0o640, uid: 123, gid: 456 };
  const base = engine.base.run(['sh', '-c', 'stat -c "%n %a %u:%g %Y" /in/* >/out/stat'], {
    mounts: [{ dest: '/in', from: imageBlob(ref, named), readonly: true }, { dest: '/out' }],
  });
  const out = await engine.build(base.mount('/out'));
  assert.equal(readFileSync(path.join(out, 'stat'), 'utf8'), '/in/layer.tar 640 123:456 0\n');
});

test('a blob that is here is not given to those whose repository does not have it', async () => {
  const digest = await push('mine', Buffer.from('a secret'));
  await engine.build(imageBlob(`${registry.host}/mine@${digest}`));
  const message = await refusal(imageBlob(`${registry.host}/theirs@${digest}`));
  assert.match(message, /blob 127\.0\.0\.1:\d+\/theirs@sha256:\w+: not found/);
});

test('a blob of a layout comes from the client, and has to be what its digest says', async () => {
  const { directory, digest } = baseLayout();
  const blob = path.join(directory, 'blobs/sha256', digest.slice('sha256:'.length));
  const out = await engine.build(layoutBlob(`any/name@${digest}`, { storeId: 'base', filename: 'manifest' }));
  assert.equal(readFileSync(path.join(out, 'manifest'), 'utf8'), readFileSync(blob, 'utf8'));
  assert.equal(statSync(path.join(out, 'manifest')).mtimeMs, 0);

  const claimed = digestOf('what it should be');
  const layout = engine.work.tree({ 'blobs/sha256/.keep': '' });
  writeFileSync(path.join(layout, 'blobs/sha256', digestHex(claimed)), 'something else');
  const layouts = new Map([['forged', layout]]);
  const forged = (named: Digest) =>
    engine.build(layoutBlob(`any/name@${named}`, { storeId: 'forged' }), { layouts });
  await assert.rejects(forged(claimed), { code: 'data_loss' });
  await assert.rejects(forged(parseDigest(digest)), /not found/);
});

test('what names no blob is refused by name', async () => {
  for (const [ref, why] of [
    ['repository', 'not named by a digest'],
    ['repository:tag', 'not named by a digest'],
    ['repository@sha256:abc', '"sha256:abc" is not a digest'],
    [`host/UPPER@${digestOf('x')}`, 'lower-case'],
  ] as const) {
    assert.match(await refusalOfBlob(ref), new RegExp(why));
  }
});

test('provenance has a blob as a material of its own kind', async () => {
  const digest = await push('files', Buffer.from('told in the provenance'));
  const state = imageBlob(`${registry.host}/files@${digest}`);
  const options = { 'attest:provenance': 'mode=max' };
  const out = await engine.build(state, {
    source: { kind: 'definition', definition: toDefinition(state), options },
  });
  const { predicate } = JSON.parse(readFileSync(path.join(out, 'provenance.json'), 'utf8'));
  const [host, port] = registry.host.split(':');
  assert.deepEqual(predicate.buildDefinition.resolvedDependencies, [
    {
      uri: `pkg:docker/${host}%3A${port}/files?digest=${digest}&ref_type=blob`,
      digest: { sha256: digestHex(digest) },
    },
  ]);
});

test('a step says what it does not find in an image without layers, and can mount it', async () => {
  const layout = engine.work.tree({});
  craftImage(layout, []);
  const { manifests } = JSON.parse(readFileSync(path.join(layout, 'index.json'), 'utf8'));
  const empty = ociLayout(`empty@${manifests[0].digest}`, { storeId: 'empty' });
  const layouts = new Map([
    ['empty', layout],
    ['base', baseLayout().directory],
  ]);
  assert.deepEqual(
    readdirSync(await engine.build(scratch().file(files().copy(empty, '/', '/')), { layouts })),
    [],
  );
  const missing = scratch().file(files().copy(empty, '/foo', '/'));
  await assert.rejects(engine.build(missing, { layouts }), /\/foo: no such file or directory/);
  const listed = engine.base.run(['sh', '-c', 'ls -A /empty >/out/names'], {
    mounts: [{ dest: '/empty', from: empty, readonly: true }, { dest: '/out' }],
  });
  const out = await engine.build(listed.mount('/out'), { layouts });
  assert.equal(readFileSync(path.join(out, 'names'), 'utf8'), '');
});
