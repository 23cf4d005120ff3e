import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { HttpRig } from '../../src/http/http-rig.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { openArchive } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

interface ListedImage {
  readonly name: string;
  readonly digest: string;
  readonly totalSize: number;
  readonly pushed: boolean;
  readonly platforms: readonly {
    readonly platform: string;
    readonly layers: readonly { readonly digest: string }[];
    readonly config?: { readonly config: Readonly<Record<string, unknown>> };
    readonly configDescriptor: { readonly digest: string };
  }[];
}

const rig = suiteRig(async (resources) => ({
  ...(await openDaemon(resources)),
  registry: resources.use(await startRegistry()),
}));

async function listed(kiln: Kiln): Promise<readonly ListedImage[]> {
  return JSON.parse((await kiln.must(['images', '--format', 'json'])).stdout) as readonly ListedImage[];
}

async function inspected(kiln: Kiln, name: string): Promise<ListedImage> {
  return JSON.parse((await kiln.must(['inspect', '--format', 'json', name])).stdout) as ListedImage;
}

/** A context whose image has a file of this text. */
const contextOf = (text: string, more = '') =>
  rig.work.tree({ 'file.txt': text, Dockerfile: `FROM scratch\nCOPY file.txt /file.txt\n${more}` });

test('an image is listed, shown, tagged, built on and removed without any daemon or registry', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  const context = work.tree({
    Dockerfile: 'FROM base\nRUN echo one > /made\nCMD ["cat", "/made"]\nLABEL a=b\n',
  });
  await kiln.build(context, ['-t', 'team/app']);
  const [image] = await listed(kiln);
  assert.equal(image?.name, 'docker.io/team/app:latest');
  assert.equal(image?.pushed, false);
  const full = await inspected(kiln, 'team/app:latest');
  assert.equal(full.digest, image?.digest);
  assert.deepEqual(full.platforms[0]?.config?.config.Cmd, ['cat', '/made']);
  assert.equal(full.platforms[0]?.layers.length, 2);
  const text = (await kiln.must(['inspect', 'team/app'])).stdout;
  assert.match(text, /Platform: +linux\/amd64\n/);
  assert.match(text, /Labels: +a=b\n/);

  await kiln.must(['tag', full.platforms[0]!.configDescriptor.digest, 'other:1']);
  const next = work.tree({ Dockerfile: 'FROM other:1\nRUN echo two >> /made\n' });
  assert.equal(await kiln.textOf('made', next), 'one\ntwo\n');
  const pinned = work.tree({ Dockerfile: `FROM other@${full.digest}\nRUN echo three >> /made\n` });
  assert.equal(await kiln.textOf('made', pinned, ['--pull']), 'one\nthree\n');

  assert.match(
    (await kiln.must(['rmi', 'team/app', 'other:1'])).stdout,
    /^removed team\/app:latest\nremoved other:1/,
  );
  assert.deepEqual(await listed(kiln), []);
});

test('names that are none, and images that are not kept, are told apart, and what was meant is guessed', async () => {
  await rig.kiln.build(contextOf('meant'), ['-t', 'meant']);
  const failing = async (...args: string[]) => {
    const { code, stderr } = await rig.kiln.run(args);
    assert.equal(code, 1);
    return stderr;
  };
  assert.match(await failing('inspect', 'maent'), /no image maent is kept here\nhint: did you mean meant\?/);
  assert.match(await failing('rmi', 'Not A Name'), /invalid image reference "Not A Name"/);
  assert.match(await failing('tag', 'meant', 'a:b:c'), /invalid image reference "a:b:c"/);
  assert.match(await failing('tag', 'meant', `a@sha256:${'0'.repeat(64)}`), /has a digest/);
  assert.match(await failing('push', 'nothing/here'), /no image nothing\/here is kept here/);
  assert.match(await failing('inspect', `sha256:${'0'.repeat(64)}`), /is kept here/);
  const file = rig.work.at('missing.tar');
  writeFileSync(file, 'before');
  assert.match(await failing('save', '-o', file, 'meant', 'nothing/here'), /no image nothing\/here/);
  assert.match(
    await failing('save', '-o', file, '--platform', 'linux/s390x', 'meant'),
    /it is there for linux\/amd64/,
  );
  assert.equal(readFileSync(file, 'utf8'), 'before');
  assert.equal(existsSync(`${file}.part`), false);
  assert.match(await failing('rmi', 'nothing/here', 'meant'), /no image nothing\/here/);
  assert.ok(!(await listed(rig.kiln)).some(({ name }) => name.includes('meant')), 'the others are removed');
});

test('a registry is not asked for an image that was never pushed, but with --pull and once it was', async () => {
  const requests: string[] = [];
  await using server = await HttpRig.start({
    otherwise: ({ method, url }, response) => {
      requests.push(`${method} ${url}`);
      response.writeHead(404).end();
    },
  });
  const name = `${server.host}/app:1`;
  await rig.kiln.build(contextOf('kept'), ['-t', name]);
  const next = rig.work.tree({ Dockerfile: `FROM ${name}\nCOPY --from=${name} /file.txt /again\n` });
  assert.equal(await rig.kiln.textOf('again', next), 'kept');
  assert.deepEqual(requests, []);
  const { stderr } = await rig.kiln.failingBuild(next, ['--pull']);
  assert.match(stderr, /not found/);
  assert.notDeepEqual(requests, []);

  const pushed = `${rig.registry.host}/moving:1`;
  await rig.kiln.build(contextOf('first'), ['-t', pushed]);
  await rig.kiln.must(['push', pushed]);
  const elsewhere = `${rig.registry.host}/elsewhere:1`;
  await rig.kiln.build(contextOf('second'), ['-t', elsewhere, '--push']);
  const copy = ['copy', '--src-tls-verify=false', '--dest-tls-verify=false'];
  await mustRun('skopeo', [...copy, `docker://${elsewhere}`, `docker://${pushed}`]);
  const moved = rig.work.tree({ Dockerfile: `FROM ${pushed}\n` });
  assert.equal(await rig.kiln.textOf('file.txt', moved), 'second', 'the registry has a newer one');
  const { stdout } = await rig.kiln.must(['images']);
  assert.match(stdout, new RegExp(`${name} .* no\\n`));
  assert.match(stdout, new RegExp(`${pushed} .* yes\\n`));
});

test('an image of several platforms is pushed whole, under any of its names', async () => {
  const name = `${rig.registry.host}/multi:1`;
  await rig.kiln.build(contextOf('multi'), ['-t', 'multi', '--platform', 'linux/amd64,linux/arm64']);
  const image = await inspected(rig.kiln, 'multi');
  assert.deepEqual(
    image.platforms.map(({ platform }) => platform),
    ['linux/amd64', 'linux/arm64'],
  );
  await rig.kiln.must(['tag', 'multi', name]);
  const { stderr } = await rig.kiln.must(['push', '--progress', 'plain', name]);
  assert.match(stderr, new RegExp(`pushing manifest for ${name}@${image.digest}`));
  for (const architecture of ['amd64', 'arm64']) {
    const select = ['--override-arch', architecture, 'inspect', '--tls-verify=false', `docker://${name}`];
    const found = JSON.parse((await mustRun('skopeo', select)).stdout);
    assert.equal(found.Architecture, architecture);
    assert.equal(found.Digest, image.digest);
  }
});

test('a push takes the logins of the client, and says so when there is none', async () => {
  // The password is "secret".
  const htpasswd = 'kiln:$2b$04$DtsZWD1hwJjPV2183yNLNOh.afvyJhnss7GVUtfRCJnYmAYjsCw7y\n';
  await using registry = await startRegistry({ htpasswd });
  const name = `${registry.host}/private:1`;
  await rig.kiln.build(contextOf('private'), ['-t', name]);
  const refused = await rig.kiln.run(['push', name], { env: { DOCKER_CONFIG: rig.work.tree({}) } });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /unauthorized|401|authoriz/i);
  const auth = Buffer.from('kiln:secret').toString('base64');
  const config = rig.work.tree({ 'config.json': JSON.stringify({ auths: { [registry.host]: { auth } } }) });
  await rig.kiln.must(['push', name], { env: { DOCKER_CONFIG: config } });
  const found = await mustRun('skopeo', [
    'inspect',
    '--tls-verify=false',
    '--creds',
    'kiln:secret',
    `docker://${name}`,
  ]);
  assert.equal(JSON.parse(found.stdout).Digest, (await inspected(rig.kiln, name)).digest);
});

test('images are saved as archives that skopeo and umoci read, several in one', async () => {
  await rig.kiln.build(contextOf('one'), ['-t', 'saved/one:1']);
  await rig.kiln.build(contextOf('two'), ['-t', 'saved/two:2', '--platform', 'linux/amd64,linux/arm64']);
  const docker = rig.work.at('docker.tar');
  await rig.kiln.must(['save', '-o', docker, 'saved/one:1', 'saved/two:2']);
  for (const name of ['saved/one:1', 'saved/two:2']) {
    const { stdout } = await mustRun('skopeo', ['inspect', `docker-archive:${docker}:${name}`]);
    assert.equal(JSON.parse(stdout).Architecture, 'amd64');
  }
  const { bytes } = await rig.kiln.must(['save', 'saved/one:1', '--format', 'oci']);
  const oci = rig.work.at('oci.tar');
  writeFileSync(oci, bytes);
  const layout = await openArchive(oci, rig.work);
  assert.equal(layout.manifestDigest, (await inspected(rig.kiln, 'saved/one:1')).digest);
  const unpacked = rig.work.at('unpacked');
  await mustRun('umoci', ['unpack', '--rootless', '--image', `${layout.directory}:1`, unpacked]);
  assert.equal(readFileSync(`${unpacked}/rootfs/file.txt`, 'utf8'), 'one');

  const both = rig.work.tree({});
  await rig.kiln.must(['save', '--format', 'oci', '-o', `${both}/both.tar`, 'saved/one:1', 'saved/two:2']);
  for (const [tag, architecture] of [
    ['1', 'amd64'],
    ['2', 'arm64'],
  ] as const) {
    const args = ['--override-arch', architecture, 'inspect', `oci-archive:${both}/both.tar:${tag}`];
    assert.equal(JSON.parse((await mustRun('skopeo', args)).stdout).Architecture, architecture);
  }
});

test('what an image needs is counted once, stays through every prune, and goes with its last name', async () => {
  await using daemon = await Daemon.start();
  const { kiln } = daemon;
  const usage = async () =>
    JSON.parse((await kiln.must(['du', '--format', 'json'])).stdout) as readonly {
      readonly size: number;
      readonly description: string;
    }[];
  const context = rig.work.tree({
    data: Buffer.alloc(2_000_000, 'data'),
    Dockerfile: 'FROM scratch\nCOPY data /data\n',
  });
  const uncompressed = ['-o', 'type=image,name=app,compression=uncompressed'];
  await kiln.build(context, uncompressed);
  await kiln.must(['tag', 'app', 'again']);
  await kiln.must(['prune', '--all']);
  const kept = await usage();
  assert.deepEqual(kept.map(({ description }) => description).sort(), [
    'image docker.io/library/again:latest',
    'image docker.io/library/app:latest',
  ]);
  const total = kept.reduce((sum, { size }) => sum + size, 0);
  assert.ok(total > 2_000_000 && total < 2_100_000, `${total} bytes`);
  const next = rig.work.tree({ Dockerfile: 'FROM again\nCOPY --from=app /data /copy\n' });
  assert.equal((await kiln.textOf('copy', next)).length, 2_000_000);
  await kiln.must(['prune', '--all']);
  assert.match((await kiln.must(['rmi', 'app'])).stdout, /^removed app:latest\n$/);
  assert.match((await kiln.must(['rmi', 'again'])).stdout, /^removed again:latest, 2\.\d\dMB freed\n$/);
  assert.deepEqual(await usage(), []);
});
