import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { startS3 } from '../../src/remote-cache/backends/s3/s3-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const rig = suiteRig(async (resources) => ({
  work: resources.use(new WorkDirectory()),
  registry: resources.use(await startRegistry()),
  s3: resources.use(await startS3()),
  /** Machines, none of which has anything of another. */
  one: resources.use(await Daemon.start()),
  other: resources.use(await Daemon.start()),
}));

/** Where a cache is exported to and imported from. */
const places = {
  registry: (name: string) => {
    const cache = `type=registry,ref=${rig.registry.host}/${name}`;
    return { to: cache, from: cache };
  },
  local: (name: string) => {
    const directory = rig.work.at(name);
    return { to: `type=local,dest=${directory}`, from: `type=local,src=${directory}` };
  },
  s3: (name: string) => {
    const cache =
      `type=s3,bucket=${rig.s3.bucket},region=r,name=${name},endpoint_url=${rig.s3.url},use_path_style=true,` +
      `access_key_id=${rig.s3.accessKeyId},secret_access_key=${rig.s3.secretAccessKey}`;
    return { to: cache, from: cache };
  },
};

/** A step that writes to a mount, and tells what was in it. It names the mount, whose id alone does not tell steps apart. */
function context(id: string, text: string): string {
  const step = `RUN --mount=type=cache,id=${id},target=/cache : ${id}; (cat /cache/log 2>/dev/null; echo ${text}) > /found && echo ${text} >> /cache/log`;
  return rig.work.tree({ Dockerfile: `FROM base\n${step}\n` });
}

const found = (machine: Daemon, id: string, text: string, args: readonly string[] = []) =>
  machine.kiln.textOf('found', context(id, text), args);

for (const [type, open] of Object.entries(places)) {
  describe(`cache mounts beside a cache of type ${type}`, () => {
    test('warm a machine that has none, and change nothing on one that has', async () => {
      const { to, from } = open(`warm-${type}`);
      const id = `warm-${type}`;
      await found(rig.one, id, 'first', ['--export-cache', `${to},mounts=${id}`]);
      const imports = ['--import-cache', `${from},mounts=all`];
      assert.equal(await found(rig.other, id, 'second', imports), 'first\nsecond\n');
      await found(rig.one, id, 'third', ['--export-cache', `${to},mounts=all`]);
      assert.equal(await found(rig.other, id, 'fourth', imports), 'first\nsecond\nfourth\n');
    });

    test('stay when another machine brings others', async () => {
      const { to, from } = open(`several-${type}`);
      const [first, second] = [`first-${type}`, `second-${type}`];
      await found(rig.one, first, 'one', ['--export-cache', `${to},mounts=${first}`]);
      await found(rig.other, second, 'two', ['--export-cache', `${to},mounts=${second}`]);
      const imported = await rig.other.kiln.must(['cache-mount', 'import', from, first]);
      assert.equal(imported.stdout, `imported /${first}\n`);
    });

    // The commands use the places as builds do: two kinds tell all.
    if (type === 's3') return;
    test('go and come by commands', async () => {
      const { to, from } = open(`commands-${type}`);
      const id = `commands-${type}`;
      await found(rig.one, id, 'first');
      const listed = await rig.one.kiln.must(['cache-mount', 'ls', '--format', 'json']);
      const mount = JSON.parse(listed.stdout).find((each: { id: string }) => each.id === `/${id}`);
      assert.equal(mount.inUse, false);
      const exported = await rig.one.kiln.must(['cache-mount', 'export', to, id]);
      assert.match(exported.stdout, new RegExp(`^exported /${id}\nsent \\d`));
      assert.match((await rig.one.kiln.must(['cache-mount', 'export', to, id])).stdout, /\nsent 0B\n$/);
      assert.equal((await rig.other.kiln.must(['cache-mount', 'import', from])).stdout, `imported /${id}\n`);
      assert.equal(await found(rig.other, id, 'second'), 'first\nsecond\n');
      const again = await rig.other.kiln.must(['cache-mount', 'import', from, id, 'none']);
      assert.match(again.stdout, new RegExp(`^kept /${id}: .*\nskipped none: `));
      assert.equal((await rig.other.kiln.must(['cache-mount', 'rm', id])).stdout, `removed ${id}\n`);
      assert.equal(await found(rig.other, id, 'third'), 'third\n');
      const missing = await rig.other.kiln.run(['cache-mount', 'rm', 'nothing']);
      assert.equal(missing.code, 1);
      assert.match(missing.stderr, /there is no cache mount "nothing"/);
    });
  });
}

test('a place that cannot be reached leaves a mount empty, and fails an export unless that is ignored', async () => {
  const lost = 'type=registry,ref=127.0.0.1:1/lost,mounts=all';
  const imported = await rig.one.kiln.build(context('lost', 'one'), ['--import-cache', lost]);
  assert.match(imported.stderr, /cache mount \/lost begins empty: .*127\.0\.0\.1:1/);
  const failed = await rig.one.kiln.failingBuild(context('lost', 'two'), ['--export-cache', lost]);
  assert.match(failed.stderr, /127\.0\.0\.1:1/);
  await rig.one.kiln.build(context('lost', 'three'), ['--export-cache', `${lost},ignore-error=true`]);
  const wrong = await rig.one.kiln.failingBuild(context('lost', 'four'), [
    '--export-cache',
    'type=inline,mounts=all',
  ]);
  assert.match(wrong.stderr, /a cache of type "inline" has no place for cache mounts/);
});
