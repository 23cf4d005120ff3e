import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { ContainerdEngine, DockerEngine, PodmanEngine } from '../rig/container-engines.ts';
import { eventually } from '../rig/eventually.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

const rig = suiteRig(async (resources) => {
  const [docker, podman, containerd] = await Promise.all([
    DockerEngine.start(),
    PodmanEngine.start(),
    ContainerdEngine.start(),
  ]);
  for (const engine of [docker, podman, containerd]) resources.use(engine);
  return { ...(await openDaemon(resources)), docker, podman, containerd };
});

const nowhere = 'unix:///nothing/listens/here.sock';
/** No engine at all: those of the machine are not ours. */
const noEngines = { DOCKER_HOST: nowhere, CONTAINER_HOST: nowhere, CONTAINERD_ADDRESS: '/nothing/here' };

/** A context with a large layer, the same for all, and a small one. */
let large: Buffer;
before(() => {
  large = randomBytes(3_000_000);
});
const contextOf = (text: string) =>
  rig.work.tree({
    large,
    small: text,
    Dockerfile: 'FROM scratch\nCOPY large /large\nCOPY small /small\nCMD ["/small"]\nLABEL of=test\n',
  });

/** The blobs that were sent, by the progress. */
function sentIn(stderr: string): readonly string[] {
  return [
    ...new Set([...stderr.matchAll(/^#\d+ (sha256:[0-9a-f]{64}) \S+ \/ /gm)].map((match) => match[1]!)),
  ];
}

interface Inspected {
  readonly digest: string;
  readonly platforms: readonly {
    readonly configDescriptor: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  }[];
}

const inspect = async (name: string): Promise<Inspected> =>
  JSON.parse((await rig.kiln.must(['inspect', '--format', 'json', name])).stdout) as Inspected;

/** Builds two images of which the second differs in its small layer, and checks what is sent for each. */
async function loadTwice(load: string, name: string, environment: Readonly<Record<string, string>> = {}) {
  const options = { env: { ...noEngines, ...environment } };
  const args = ['-t', name, `--load=${load}`];
  const first = await rig.kiln.build(contextOf(`one of ${name}`), args, options);
  const [one] = (await inspect(name)).platforms;
  const everything = [one!.configDescriptor, ...one!.layers].map(({ digest }) => digest);
  assert.deepEqual(new Set(sentIn(first.stderr)), new Set(everything));

  const second = await rig.kiln.build(contextOf(`two of ${name}`), args, options);
  const [two] = (await inspect(name)).platforms;
  assert.deepEqual(
    new Set(sentIn(second.stderr)),
    new Set([two!.configDescriptor.digest, two!.layers[1]!.digest]),
    'the large layer is there already',
  );
  return two!;
}

describe('--load', () => {
  test('brings an image into docker, and only the layers that it lacks', async () => {
    const { docker } = rig;
    const { configDescriptor } = await loadTwice(`docker,address=${docker.address}`, 'loaded/docker:1');
    const image = JSON.parse(await docker.docker('image', 'inspect', 'loaded/docker:1'))[0];
    assert.equal(image.Id, configDescriptor.digest);
    assert.deepEqual(image.RepoTags, ['loaded/docker:1']);
    assert.deepEqual(image.RepoDigests, [], 'nothing of the transfer is left');
    assert.deepEqual(image.Config.Labels, { of: 'test' });
    const container = (await docker.docker('create', 'loaded/docker:1')).trim();
    const copy = rig.work.at('from-docker');
    await docker.docker('cp', `${container}:/small`, copy);
    assert.equal(readFileSync(copy, 'utf8'), 'two of loaded/docker:1');
    await docker.docker('rm', container);
    assert.doesNotMatch(await docker.docker('images', '--format', '{{.Repository}}'), /127\.0\.0\.1/);
  });

  test('brings an image into podman by its API and by its program, and only the layers that it lacks', async () => {
    const { podman } = rig;
    const files = async (name: string, text: string) => {
      const mounted = (await podman.podman('image', 'mount', name)).trim();
      assert.equal(readFileSync(path.join(mounted, 'small'), 'utf8'), text);
      await podman.podman('image', 'unmount', name);
    };
    const byApi = await loadTwice(`podman,address=${podman.address}`, 'loaded/podman:1');
    await files('loaded/podman:1', 'two of loaded/podman:1');
    const image = JSON.parse(await podman.podman('image', 'inspect', 'loaded/podman:1'))[0];
    assert.equal(`sha256:${image.Id}`, byApi.configDescriptor.digest);
    assert.deepEqual(image.RepoTags, ['docker.io/loaded/podman:1']);

    const options = { env: { ...noEngines, ...podman.environment, CONTAINER_HOST: undefined } };
    const { stderr } = await rig.kiln.build(
      contextOf('three'),
      ['-t', 'prog', '-t', 'a/b', '--load=podman'],
      options,
    );
    assert.match(stderr, /loading into podman\n/);
    assert.equal(sentIn(stderr).length, 2);
    await files('docker.io/library/prog', 'three');
    await files('a/b', 'three');
    const names = await podman.podman('images', '--format', '{{.Repository}}');
    assert.doesNotMatch(names, /127\.0\.0\.1|kiln/);
  });

  test('brings an image with all its platforms into containerd, and only the blobs that it lacks', async () => {
    const { containerd } = rig;
    const load = `containerd,address=${containerd.address},namespace=team`;
    const platforms = ['--platform', 'linux/amd64,linux/arm64'];
    const args = ['-t', 'loaded/containerd:1', `--load=${load}`, ...platforms];
    await rig.kiln.build(contextOf('one'), args);
    const { stderr } = await rig.kiln.build(contextOf('two'), args);
    const { digest, platforms: images } = await inspect('loaded/containerd:1');
    assert.deepEqual(
      new Set(sentIn(stderr)),
      new Set(images.flatMap(({ layers, configDescriptor }) => [layers[1]!.digest, configDescriptor.digest])),
    );
    const ctr = (...command: readonly string[]) => containerd.ctr('--namespace', 'team', ...command);
    const listed = await ctr('images', 'ls');
    assert.match(
      listed,
      new RegExp(`^docker.io/loaded/containerd:1 .*${digest} .*linux/amd64,linux/arm64`, 'm'),
    );
    assert.equal((await ctr('leases', 'ls', '--quiet')).trim(), '');
    const mounted = rig.work.tree({});
    await ctr('images', 'mount', 'docker.io/loaded/containerd:1', mounted);
    try {
      assert.equal(readFileSync(`${mounted}/small`, 'utf8'), 'two');
    } finally {
      await ctr('images', 'unmount', mounted);
    }
    // Its garbage collection must find all of the image.
    await ctr('images', 'check');
    assert.match(await ctr('images', 'check'), /docker.io\/loaded\/containerd:1 .* complete/);
  });

  test('loads an image that has no name, and keeps none of it', async () => {
    const { docker, podman } = rig;
    const before = (await rig.kiln.must(['images'])).stdout;
    const built = await rig.kiln.build(contextOf('unnamed'), [
      '-q',
      `--load=docker,address=${docker.address}`,
    ]);
    const id = built.stdout.trim();
    assert.equal(JSON.parse(await docker.docker('image', 'inspect', id))[0].Config.Labels.of, 'test');
    await rig.kiln.build(contextOf('unnamed'), ['-q', `--load=podman,address=${podman.address}`]);
    await podman.podman('image', 'exists', id.slice('sha256:'.length));
    const args = ['-q', `--load=containerd,address=${rig.containerd.address}`];
    const { stderr } = await rig.kiln.failingBuild(contextOf('unnamed'), args);
    assert.match(
      stderr,
      /containerd knows images by their names, and this one has none\nhint: give --tag NAME/,
    );
    assert.equal((await rig.kiln.must(['images'])).stdout, before);
  });

  test('finds what runs containers by itself, and says so when that is nothing or not clear', async () => {
    const { docker, podman, containerd } = rig;
    const context = contextOf('found');
    const fails = async (env: Readonly<Record<string, string>>, flag = '--load') =>
      (await rig.kiln.failingBuild(context, ['-t', 'found', flag], { env: { ...noEngines, ...env } })).stderr;
    assert.match(
      await fails({}),
      /nothing that runs containers was found on this machine\nhint: looked for /,
    );
    const both = { DOCKER_HOST: docker.address, CONTAINER_HOST: podman.address };
    assert.match(await fails(both), /--load can mean docker at .* or podman at .*\nhint: name one/);
    assert.match(await fails({}, '--load=docker'), /docker does not answer at unix:\/\/\/nothing/);
    assert.match(await fails({}, `--load=docker,address=${podman.address}`), /docker does not answer at/);
    assert.match(
      await fails({}, '--load=lxc'),
      /there is no "lxc"\nhint: use one of docker, podman, containerd/,
    );
    assert.match(await fails({ DOCKER_HOST: 'ssh://host' }), /\$DOCKER_HOST: invalid address/);

    const found = async (env: Readonly<Record<string, string>>) =>
      (await rig.kiln.build(context, ['-t', 'found', '--load'], { env: { ...noEngines, ...env } })).stderr;
    const below = { CONTAINERD_ADDRESS: containerd.address.slice('unix://'.length) };
    assert.match(await found({ DOCKER_HOST: docker.address, ...below }), /loading into docker at/);
    assert.match(await found({ CONTAINER_HOST: podman.address }), /loading into podman at/);
    assert.match(await found(below), /loading into containerd at .*, namespace default/);
  });

  test('refuses an image for other platforms, and what docker refuses is told in its words', async () => {
    const { docker } = rig;
    const args = ['-t', 'foreign', '--platform', 'linux/s390x', `--load=docker,address=${docker.address}`];
    const { stderr } = await rig.kiln.failingBuild(contextOf('foreign'), args);
    assert.match(stderr, /the image is not there for linux\/amd64\nhint: it is there for linux\/s390x/);
    const zstd = ['-o', 'type=image,name=zstd,compression=zstd,force-compression=true'];
    const refused = await rig.kiln.failingBuild(contextOf('zstd'), [
      ...zstd,
      `--load=docker,address=${docker.address}`,
    ]);
    assert.match(refused.stderr, /failed to load the image into docker at .*(zstd|tar header|layer)/i);
    assert.doesNotMatch(await docker.docker('images', '--all'), /127\.0\.0\.1/);
  });

  test('an interrupted load leaves nothing in docker', async () => {
    const { docker } = rig;
    const context = rig.work.tree({
      data: randomBytes(40_000_000),
      Dockerfile: 'FROM scratch\nCOPY data /data\n',
    });
    const args = ['-t', 'interrupted', `--load=docker,address=${docker.address}`];
    const running = rig.kiln.start(context, args);
    await running.said('loading into docker');
    running.kill('SIGINT');
    assert.equal((await running.finished).code, 130);
    await eventually(
      async () => !/interrupted|127\.0\.0\.1/.test(await docker.docker('images', '--all')),
      () => 'the image is there',
    );
    await rig.kiln.build(context, args);
    assert.match(await docker.docker('images'), /^interrupted /m);
  });
});

describe('what is written to files', () => {
  test('is read by docker load, podman load and containerd', async () => {
    const { docker, podman, containerd } = rig;
    const context = contextOf('written');
    const file = rig.work.at('docker.tar');
    await rig.kiln.build(context, ['-t', 'written/docker:1', '-o', `type=docker,dest=${file}`]);
    assert.match(await docker.docker('load', '--input', file), /Loaded image: written\/docker:1/);
    assert.match(await podman.podman('load', '--input', file), /written\/docker:1/);

    await rig.kiln.build(context, ['-t', 'written/saved:1']);
    const saved = rig.work.at('saved.tar');
    await rig.kiln.must(['save', '-o', saved, 'written/saved:1']);
    assert.match(await docker.docker('load', '--input', saved), /Loaded image: written\/saved:1/);
    const ids = await docker.docker('images', '--no-trunc', '--format', '{{.ID}}', 'written/*');
    assert.equal(new Set(ids.trim().split('\n')).size, 1, 'both archives have the same image');

    const oci = rig.work.at('oci.tar');
    await rig.kiln.must(['save', '-o', oci, '--format', 'oci', 'written/saved:1']);
    await containerd.ctr('images', 'import', '--all-platforms', oci);
    assert.match(await containerd.ctr('images', 'ls', '-q'), /^docker.io\/written\/saved:1$/m);
    const layout = rig.work.at('layout');
    await rig.kiln.build(context, ['-t', 'layout:1', '-o', `type=oci,tar=false,dest=${layout}`]);
    for (const source of [`oci-archive:${oci}`, `oci:${layout}:1`, `docker-archive:${file}`]) {
      const { stdout } = await mustRun('skopeo', ['inspect', source]);
      assert.equal(JSON.parse(stdout).Labels.of, 'test', source);
      // It takes no upper-case letters in the path of a layout.
      if (source.startsWith('oci:')) continue;
      const pulled = await podman.podman('pull', source);
      const image = JSON.parse(await podman.podman('image', 'inspect', pulled.trim().split('\n').at(-1)!))[0];
      assert.equal(image.Labels.of, 'test', source);
    }
  });
});
