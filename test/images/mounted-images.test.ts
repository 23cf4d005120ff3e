import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { mountPointsBelow } from '../../src/linux/mount-table.ts';
import { type Fault, FaultProxy } from '../../src/registry/fault-proxy-rig.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { eventually } from '../rig/eventually.ts';
import { Kiln } from '../rig/kiln.ts';
import { project } from '../rig/project.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const fileSize = 1 << 20;
const files = 40;
const lazily = ['--oci-worker-snapshotter', 'stargz'];
const image = fileSize * files;

/** Bytes of blobs that were asked for in parts, blobs that were asked for as a whole, and what goes wrong with parts. */
const seen = {
  bytes: 0,
  whole: 0,
  fault: undefined as Fault | 'no parts' | undefined,
  waiting: Promise.withResolvers<void>(),
};

const rig = suiteRig(async (resources) => {
  const registry = resources.use(await startRegistry());
  const work = resources.use(new WorkDirectory());
  const proxy = resources.use(
    await FaultProxy.start(registry.host, ({ method, url, headers }) => {
      if (method !== 'GET' || !url?.includes('/blobs/')) return undefined;
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
      if (first === undefined || seen.fault === 'no parts') {
        seen.whole++;
        delete headers.range;
        if (seen.fault === 'no parts' || seen.fault?.kind !== 'silence') return undefined;
        seen.waiting.resolve();
        return seen.fault;
      }
      seen.bytes += Number(last) - Number(first) + 1;
      if (seen.fault) seen.waiting.resolve();
      return seen.fault;
    }),
  );
  const data = Array.from({ length: files }, (_, index) => [`data/${index}`, randomBytes(fileSize)]);
  const contents: Record<string, string | Buffer> = {
    ...Object.fromEntries(data),
    'etc/passwd': 'root:x:0:0:root:/:/bin/sh\nsomebody:x:7:7::/:/bin/sh\n',
  };
  const context = work.tree({ ...contents, Dockerfile: 'FROM base\nCOPY data /data\nCOPY etc /etc\n' });
  await new Kiln({ root: work.at('maker') }).build(context, [
    '-o',
    `type=image,name=${proxy.host}/big:1,push=true,compression=estargz,force-compression=true,oci-mediatypes=true`,
  ]);
  const daemon = resources.use(await Daemon.start({ args: lazily, root: work.at('root') }));
  return { work, host: proxy.host, contents, daemon };
});

const reset = () =>
  Object.assign(seen, { bytes: 0, whole: 0, fault: undefined, waiting: Promise.withResolvers<void>() });

/** A context that begins with the image, under its registry's address or its name. */
const dockerfile = (text: string, host = rig.host) =>
  rig.work.tree({ Dockerfile: `FROM ${host}/big:1\n${text}\n` });
const sum = (index: number) =>
  `RUN md5sum < /data/${index} > /sum && test $(wc -c < /data/${index}) = ${fileSize}`;

/** Removes all that nobody uses, and expects that nothing is in use. */
async function pruneAll(daemon: Daemon, after?: string): Promise<void> {
  const mounted = () => mountPointsBelow(daemon.root);
  const isDone = async () => {
    await daemon.kiln.must(['prune', '--all']);
    return mounted().length === 0;
  };
  await eventually(isDone, () => ({ after, mounted: mounted() }));
}

test('a step that reads one file of a layer fetches a tenth of the image at most, a COPY of one file and builds beside each other too', async () => {
  reset();
  const { daemon, contents } = rig;
  const built = await daemon.kiln.build(dockerfile(`${sum(7)}\nFROM scratch\nCOPY --from=0 /data/7 /`), [
    '-o',
    'type=tar,dest=-',
  ]);
  assert.ok(built.bytes.includes(contents['data/7'] as Buffer));
  assert.ok(mountPointsBelow(daemon.root).length >= 3);
  const texts = Array.from({ length: 4 }, (_, index) => `RUN echo ${index}\n${sum(7)}`);
  await Promise.all(texts.map((text) => daemon.kiln.build(dockerfile(text))));
  assert.ok(seen.bytes > fileSize && seen.bytes < image / 10, `${seen.bytes} of ${image} bytes`);
  assert.equal(seen.whole, 1, 'the config alone is fetched whole');
});

test('a registry that fails while a step reads fails the step, and the error says which layer and why', async () => {
  reset();
  const { kiln } = rig.daemon;
  await kiln.build(dockerfile(sum(1)));
  seen.fault = { kind: 'status', status: 404 };
  const { stderr } = await kiln.failingBuild(dockerfile(`RUN cat /data/2 > /dev/null`));
  assert.match(stderr, /cannot read layer sha256:[0-9a-f]{64}: .*127\.0\.0\.1.*404/);
  reset();
  await kiln.build(dockerfile(`RUN cat /data/2 > /dev/null`));
});

test('builds that are cancelled while the registry is silent leave nothing, wherever they wait', async () => {
  const mounting = 'FROM scratch\nCOPY --from=0 /data/39 /';
  const waits = [
    ['the users of the base', mounting, 'USER somebody\nRUN true'],
    ['a step', sum(1), 'RUN cat /data/3 > /dev/null'],
    ['a copy', sum(1), 'FROM scratch\nCOPY --from=0 /data/4 /'],
    ['an export', mounting, 'LABEL a=b'],
  ] as const;
  for (const [what, before, last] of waits) {
    reset();
    await rig.daemon.kiln.build(dockerfile(before));
    seen.fault = { kind: 'silence' };
    const build = rig.daemon.kiln.start(dockerfile(last), ['-o', `type=tar,dest=${rig.work.at('none.tar')}`]);
    await seen.waiting.promise;
    build.kill('SIGINT');
    await build.finished;
    await pruneAll(rig.daemon, what);
  }
});

test('readers that only threads of the engine may be wait for no name of a registry, however many there are', async () => {
  reset();
  const { daemon, contents } = rig;
  await pruneAll(daemon);
  const named = rig.host.replace('127.0.0.1', 'localhost');
  const builds = Array.from({ length: 2 }, async (_, index) => {
    await Promise.all([
      daemon.kiln.build(dockerfile(`USER somebody\nRUN test $(id -u) = 7 && echo ${index}`, named)),
      daemon.kiln.build(dockerfile(`FROM scratch\nCOPY --from=0 --chown=somebody /data/${index} /`, named)),
    ]);
    const target = rig.work.at(`out${index}`);
    await daemon.kiln.build(dockerfile(`LABEL a=${index}`, named), ['-o', `type=tar,dest=${target}`]);
  });
  await Promise.all(builds);
  const tar = await daemon.kiln.build(dockerfile('LABEL a=0', named), ['-o', 'type=tar,dest=-']);
  for (const name of ['data/0', 'data/39']) assert.ok(tar.bytes.includes(contents[name] as Buffer), name);
});

test('what a step reads is not pruned, and comes as a whole from a registry that sends no parts any more', async () => {
  reset();
  const { daemon } = rig;
  await pruneAll(daemon);
  await daemon.kiln.build(dockerfile(sum(5)));
  seen.fault = { kind: 'delay', milliseconds: 100 };
  const build = daemon.kiln.build(dockerfile(sum(6)));
  await seen.waiting.promise;
  await daemon.kiln.must(['prune', '--all']);
  await build;
  reset();
  seen.fault = 'no parts';
  await daemon.kiln.build(dockerfile(sum(8)));
  assert.ok(seen.whole > 0);
  await pruneAll(daemon);
  const { stderr } = await daemon.kiln.build(dockerfile(sum(8)), ['--progress', 'plain']);
  assert.match(stderr, /is fetched whole: .* does not send parts/);
  assert.deepEqual(mountPointsBelow(daemon.root), []);
});

test('the result is pushed with the very layers of its base, and its archive has all of them', async () => {
  reset();
  const { kiln } = rig.daemon;
  await pruneAll(rig.daemon);
  const name = `${rig.host}/derived:1`;
  await kiln.build(dockerfile(sum(9)), ['-o', `type=image,name=${name},push=true`]);
  assert.ok(seen.bytes < image / 10 && seen.whole <= 2, `${seen.bytes} bytes, ${seen.whole} blobs`);
  await kiln.build(dockerfile(sum(9)), ['-o', `type=oci,dest=${rig.work.at('derived.tar')}`]);
  assert.ok(seen.whole > 2, 'an archive needs all bytes');
});

test('a killed daemon leaves layers that the next one mounts again: its steps are still cached, and what is not used is pruned', async () => {
  reset();
  const root = rig.work.at('killed');
  const first = await Daemon.start({ args: [...lazily, '--oci-worker-binary', 'runc'], root });
  await first.kiln.build(dockerfile(sum(3)));
  first.process.kill('SIGKILL');
  await first.process.finished;
  // What is mounted stays so, whatever the option says later.
  await using daemon = await Daemon.start({ root });
  const before = seen.bytes;
  const { events } = await daemon.kiln.build(dockerfile(`${sum(3)}\nRUN cat /data/3 /data/10 > /dev/null`));
  assert.equal(events.vertex('md5sum').cached, true);
  const read = seen.bytes - before;
  assert.ok(read > fileSize && read < fileSize * 1.5, `${read} bytes again`);
  await pruneAll(daemon);
});

test('without the option, and without the device, layers are fetched whole, and one warning says why', async () => {
  reset();
  await using plain = await Daemon.start();
  await plain.kiln.build(dockerfile(sum(7)));
  assert.equal(seen.bytes, 0);
  assert.deepEqual(mountPointsBelow(plain.root), []);
  const hide = 'mount --bind /dev/fuse /dev/fuse && mount -o remount,bind,nodev /dev/fuse';
  const hidden = rig.work.script(
    'without-fuse',
    `exec unshare -m sh -c '${hide} && exec "$0" "$@"' ${project.kilnd} "$@"`,
  );
  await using without = await Daemon.start({ args: lazily, program: hidden });
  const { stderr } = await without.kiln.build(dockerfile(sum(7)), ['--progress', 'plain']);
  assert.match(stderr, /WARN: eStargz layers are fetched whole, since .*\/dev\/fuse/);
  assert.match(stderr, / 1 warning found/);
  assert.equal(seen.bytes, 0);
});
