import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultProxy } from '../../src/registry/fault-proxy-rig.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Kiln } from '../rig/kiln.ts';
import { mustRun } from '../rig/run-program.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const rig = suiteRig(async (resources) => {
  const registry = resources.use(await startRegistry());
  return {
    work: resources.use(new WorkDirectory()),
    /** Sees all requests. */
    proxy: resources.use(await FaultProxy.start(registry.host, () => undefined)),
  };
});

const pushed = (...names: readonly string[]) => [
  '-o',
  `type=image,"name=${names.map((name) => `${rig.proxy.host}/${name}`).join(',')}",push=true`,
];

/** The digests of the layers that an image in the registry has. */
async function layersOf(name: string): Promise<readonly string[]> {
  const arguments_ = ['inspect', '--tls-verify=false', `docker://${rig.proxy.host}/${name}`];
  return (JSON.parse((await mustRun('skopeo', arguments_)).stdout) as { Layers: string[] }).Layers;
}

/** What happens to layers while `work` runs. */
async function traffic(layers: readonly string[], work: () => Promise<unknown>) {
  const before = rig.proxy.requests.length;
  await work();
  const requests = rig.proxy.requests.slice(before);
  const concerns = (method: string, path: string) =>
    requests.filter(
      (each) =>
        each.method === method &&
        layers.some((digest) =>
          each.url.includes(`${path}${digest.replace(':', path.includes('=') ? '%3A' : ':')}`),
        ),
    );
  return {
    pulled: concerns('GET', '/blobs/').length,
    uploaded: concerns('PUT', 'digest=').length,
    mounted: concerns('POST', 'mount=').length,
  };
}

test('what only passes from a registry to the same one is neither pulled nor pushed', async () => {
  const context = rig.work.tree({
    'file.txt': 'text',
    Dockerfile: 'FROM base\nCOPY file.txt /\nRUN echo made > /made\n',
  });
  const here = new Kiln({ root: rig.work.at('here') });
  await here.build(context, pushed('app:1'));
  const layers = await layersOf('app:1');
  assert.equal(layers.length, 3);

  const again = await traffic(layers, () => here.build(context, pushed('app:1')));
  assert.deepEqual(again, { pulled: 0, uploaded: 0, mounted: 0 });

  const elsewhere = new Kiln({ root: rig.work.at('elsewhere') });
  const labelled = rig.work.tree({ Dockerfile: `FROM ${rig.proxy.host}/app:1\nLABEL a=b\n` });
  const derived = await traffic(layers, () => elsewhere.build(labelled, pushed('team/derived:1')));
  assert.deepEqual(derived, { pulled: 0, uploaded: 0, mounted: 3 });
  assert.deepEqual(await layersOf('team/derived:1'), layers);
});

test('an image that is pushed under several names is sent once', async () => {
  const context = rig.work.tree({ 'file.txt': 'other text', Dockerfile: 'FROM scratch\nCOPY file.txt /\n' });
  const kiln = new Kiln({ root: rig.work.at('here') });
  const before = rig.proxy.requests.length;
  await kiln.build(context, pushed('one/app:1', 'one/app:2', 'two/app:1'));
  const layers = await layersOf('two/app:1');
  const uploads = rig.proxy.requests
    .slice(before)
    .filter(({ method, url }) => method === 'PUT' && url.includes(layers[0]!.replace(':', '%3A')));
  assert.equal(uploads.length, 1);
  assert.deepEqual(await layersOf('one/app:2'), layers);
});
