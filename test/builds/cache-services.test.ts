import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { type Fault, FaultProxy } from '../../src/registry/fault-proxy-rig.ts';
import { startAzure } from '../../src/remote-cache/backends/azure/azure-rig.ts';
import { startActionsCache } from '../../src/remote-cache/backends/gha/gha-rig.ts';
import { startS3 } from '../../src/remote-cache/backends/s3/s3-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const dockerfile = `
FROM base AS build
RUN head -c 3000000 /dev/urandom > /random && echo one > /one
COPY file.txt /file.txt
RUN cat /file.txt /one > /two
FROM base
COPY --from=build /two /random /
RUN cat /two > /all
`;

const rig = suiteRig(async (resources) => {
  const s3 = resources.use(await startS3());
  const azure = resources.use(await startAzure());
  const actions = resources.use(await startActionsCache());
  return {
    work: resources.use(new WorkDirectory()),
    s3,
    azure,
    actions,
    token: actions.token(),
    /** Machines, none of which has anything of another. */
    one: resources.use(await Daemon.start()),
    other: resources.use(await Daemon.start()),
  };
});

/** How each service is reached by way of `host`. `place` is of the test's own. */
const services = {
  s3: {
    host: () => new URL(rig.s3.url).host,
    options: (host: string, place: string) =>
      `type=s3,bucket=${rig.s3.bucket},region=eu-west-1,prefix=${place}/,endpoint_url=http://${host},` +
      `use_path_style=true,access_key_id=${rig.s3.accessKeyId},secret_access_key=${rig.s3.secretAccessKey}`,
    secret: () => rig.s3.secretAccessKey,
  },
  azblob: {
    host: () => new URL(rig.azure.url).host,
    options: (host: string, place: string) =>
      `type=azblob,account_url=http://${host}/${rig.azure.accountName},account_name=${rig.azure.accountName},` +
      `container=${place},secret_access_key=${rig.azure.accountKey}`,
    secret: () => rig.azure.accountKey,
  },
  'gha 1': {
    host: () => new URL(rig.actions.url).host,
    options: (host: string, place: string) => `type=gha,url=http://${host},scope=${place},token=${rig.token}`,
    secret: () => rig.token.split('.')[2]!,
  },
  'gha 2': {
    host: () => new URL(rig.actions.url).host,
    options: (host: string, place: string) =>
      `type=gha,url_v2=http://${host},version=2,scope=${place}-2,token=${rig.token}`,
    secret: () => rig.token.split('.')[2]!,
  },
};

let contexts = 0;

/** A context that no other test has built. */
function newContext(): string {
  const name = `${process.pid}-${contexts++}`;
  return rig.work.tree({ Dockerfile: dockerfile.replace('echo one', `echo ${name}`), 'file.txt': name });
}

for (const [name, { host, options, secret }] of Object.entries(services)) {
  describe(`a cache in ${name}`, () => {
    const place = name.replace(' ', '-');

    test('saves another machine every step, and exporting it again sends no layer', async () => {
      await using proxy = await FaultProxy.start(host(), () => undefined);
      const context = newContext();
      const cache = options(proxy.host, `whole-${place}`);
      const made = await rig.one.kiln.build(context, ['--export-cache', `${cache},mode=max`]);
      assert.ok(made.events.steps('ran').length > 0);
      const found = await rig.other.kiln.build(context, ['--import-cache', cache]);
      assert.deepEqual(found.events.steps('ran'), []);
      assert.equal(await rig.other.kiln.textOf('all', context), await rig.one.kiln.textOf('all', context));
      proxy.requests.length = 0;
      await rig.one.kiln.build(context, ['--export-cache', `${cache},mode=max`]);
      const sent = proxy.requests
        .filter(({ method }) => method === 'PUT' || method === 'PATCH')
        .map(({ headers }) => Number(headers['content-length'] ?? 0));
      assert.ok(Math.max(...sent) < 100_000, `${sent}`);
    });

    test('comes through a server that is slow, refuses and breaks off', async () => {
      const faults: readonly Fault[] = [
        { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
        { kind: 'delay', milliseconds: 300 },
        { kind: 'status', status: 500 },
        { kind: 'cut', after: 1_000_000 },
      ];
      const spoiled = new Set<string>();
      let next = 0;
      await using proxy = await FaultProxy.start(host(), ({ method, url }) => {
        if (next === 2 * faults.length || spoiled.has(`${method} ${url}`)) return undefined;
        spoiled.add(`${method} ${url}`);
        return faults[next++ % faults.length];
      });
      const context = newContext();
      const cache = options(proxy.host, `faults-${place}`);
      await rig.one.kiln.build(context, ['--export-cache', `${cache},mode=max`]);
      const found = await rig.other.kiln.build(context, [
        '--import-cache',
        cache,
        '--output',
        'type=tar,dest=/dev/null',
      ]);
      assert.deepEqual(found.events.steps('ran'), []);
      assert.ok(next > faults.length);
    });

    test('tells its secrets to nobody, and keeps them nowhere', async () => {
      await using proxy = await FaultProxy.start(host(), () => ({ kind: 'status', status: 403 }));
      const context = newContext();
      const cache = options(proxy.host, `refused-${place}`);
      const failed = await rig.one.kiln.failingBuild(context, ['--export-cache', cache]);
      assert.match(failed.stderr, /answered 403/);
      const warned = await rig.one.kiln.build(context, ['--import-cache', cache]);
      for (const text of [failed.stderr, warned.stderr, rig.one.process.stderr()]) {
        assert.ok(!text.includes(secret()), text);
      }
      const found = spawnSync('grep', ['-rlF', '--', secret(), rig.one.root], { encoding: 'utf8' });
      assert.deepEqual({ status: found.status, stdout: found.stdout }, { status: 1, stdout: '' });
    });
  });
}
