import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { foreignBusybox } from '../../src/base/testing/foreign-busybox.ts';
import { type RegistryRig, startRegistry } from '../../src/registry/registry-rig.ts';
import { type DescriptorJson, type ImageJson, readBlob, readLayout } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { type DaemonRig, openDaemon, suiteRig } from '../rig/suite-rig.ts';

const own = process.arch === 'arm64' ? 'arm64' : 'amd64';
const ownMachine = own === 'arm64' ? 'aarch64' : 'x86_64';
const foreign = foreignBusybox();
const other = foreign.platform.architecture;

const dockerfile = `FROM scratch AS programs
ARG TARGETARCH
COPY busybox-\${TARGETARCH} /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]

FROM --platform=$BUILDPLATFORM scratch AS tools
ARG BUILDARCH TARGETPLATFORM
COPY busybox-\${BUILDARCH} /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo $(/bin/busybox uname -m) for $TARGETPLATFORM > /made-by"]

FROM programs
ARG BUILDPLATFORM TARGETPLATFORM TARGETVARIANT
COPY --from=tools /made-by /
RUN sh -c 'uname -m' > /machine && echo "$BUILDPLATFORM to $TARGETPLATFORM" >> /machine
`;

describe('a build for several platforms', () => {
  const rig = suiteRig(async (resources) => {
    const daemon = await openDaemon(resources);
    const registry = resources.use(await startRegistry());
    const context = daemon.work.tree({ Dockerfile: dockerfile });
    copyFileSync('/bin/busybox', path.join(context, `busybox-${own}`));
    copyFileSync(foreign.program, path.join(context, `busybox-${other}`));
    return { ...daemon, registry, context };
  }) as DaemonRig & { readonly registry: RegistryRig; readonly context: string };

  const both = ['--platform', `linux/${own}`, '--platform', `linux/${other}`];

  test('runs the steps of each, the foreign ones by an emulator, in one command', async () => {
    const { kiln, context, registry, work } = rig;
    const name = `${registry.host}/both:1`;
    await kiln.build(context, [...both, '-o', `type=image,name=${name},push=true,registry.insecure=true`]);

    const layout = work.at('both');
    await mustRun('skopeo', [
      'copy',
      '--quiet',
      '--all',
      '--src-tls-verify=false',
      `docker://${name}`,
      `oci:${layout}:1`,
    ]);
    const index = readBlob<{ readonly manifests: readonly DescriptorJson[] }>(
      layout,
      readLayout(layout).manifestDigest,
    );
    const images = index.manifests.filter(({ platform }) => platform?.os === 'linux');
    assert.deepEqual(
      images.map(({ platform }) => platform?.architecture),
      [own, other],
    );
    for (const { digest, platform } of images) {
      const { config } = readBlob<{ readonly config: DescriptorJson }>(layout, digest);
      assert.equal(readBlob<ImageJson>(layout, config.digest).architecture, platform?.architecture);
    }
  });

  test('has what each platform made, in a directory of its own', async () => {
    const { kiln, context, work } = rig;
    const out = work.at('out');
    await kiln.build(context, [...both, '-o', `type=local,dest=${out}`]);
    const text = async (platform: string, file: string) =>
      (await mustRun('cat', [path.join(out, platform, file)])).stdout;
    assert.equal(await text(`linux_${own}`, 'machine'), `${ownMachine}\nlinux/${own} to linux/${own}\n`);
    assert.equal(
      await text(`linux_${other}`, 'machine'),
      `${foreign.machine}\nlinux/${own} to linux/${other}\n`,
    );
    assert.equal(await text(`linux_${other}`, 'made-by'), `${ownMachine} for linux/${other}\n`);
  });

  test('of an image that has each takes the right one, and an index that lacks one is an error that says what it has', async () => {
    const { kiln, registry, work } = rig;
    const name = `${registry.host}/both:1`;
    const context = work.tree({ Dockerfile: `FROM ${name}\nRUN uname -m > /now\n` });
    assert.equal(await kiln.textOf('now', context, ['--platform', `linux/${other}`]), `${foreign.machine}\n`);
    assert.equal(await kiln.textOf('now', context), `${ownMachine}\n`);
    const { stderr } = await kiln.failingBuild(context, ['--platform', 'linux/riscv64']);
    assert.match(
      stderr,
      new RegExp(
        `${name}: no match for platform linux/riscv64 in manifest, which has linux/${own}, linux/${other}: not found`,
      ),
    );
  });

  test('takes a single image of another platform, with a warning, and runs what is in it', async () => {
    const { kiln, context, registry, work } = rig;
    const name = `${registry.host}/single:1`;
    await kiln.build(context, ['-o', `type=image,name=${name},push=true,registry.insecure=true`]);
    const using = work.tree({ Dockerfile: `FROM ${name}\nRUN uname -m > /now\n` });
    const built = await kiln.build(using, ['--platform', `linux/${other}`, '-o', 'type=tar,dest=-']);
    assert.match(
      built.stderr,
      new RegExp(
        `InvalidBaseImagePlatform.*was pulled with platform "linux/${own}", expected "linux/${other}"`,
      ),
    );
    assert.equal(
      (await mustRun('tar', ['-xOf', '-', 'now'], { input: built.bytes })).stdout,
      `${ownMachine}\n`,
    );
  });

  test('cannot run steps for Windows, and says so before it tries', async () => {
    const { kiln, context } = rig;
    const { stderr } = await kiln.failingBuild(context, ['--platform', `windows/${own}`]);
    assert.match(stderr, /for windows\/amd64: this machine runs linux, not windows/);
  });

  test('finds in the list of workers what it can build for', async () => {
    const { stdout } = await rig.kiln.must(['debug', 'workers']);
    assert.match(stdout, new RegExp(`linux/${own},(.*,)?linux/${other}(,|$)`, 'm'));
  });
});
