import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { describeTree } from '../rig/file-tree.ts';
import { openArchive, unpackFiles } from '../rig/oci-archive.ts';
import { project } from '../rig/project.ts';
import { mustRun } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const quickstart = path.join(project.root, 'examples/quickstart');

test('the quickstart image, as an OCI archive, is accepted by skopeo and umoci and is what the Dockerfile says', async () => {
  using work = new WorkDirectory();
  await using daemon = await Daemon.start();
  const archive = work.at('quickstart.tar');
  await daemon.kiln.build(quickstart, ['-t', 'quickstart', '-o', `type=oci,dest=${archive}`]);

  const inspected = JSON.parse((await mustRun('skopeo', ['inspect', `oci-archive:${archive}`])).stdout);
  assert.equal(inspected.Os, 'linux');
  assert.equal(inspected.Labels['org.opencontainers.image.title'], 'Kiln quickstart');

  const layout = await openArchive(archive, work);
  assert.equal(inspected.Digest, layout.manifestDigest);
  assert.deepEqual(layout.image.config, {
    User: '1000',
    Env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'GREETING=/opt/app/greeting.txt',
    ],
    Entrypoint: ['/opt/app/run.sh'],
    WorkingDir: '/opt/app',
    Labels: { 'org.opencontainers.image.title': 'Kiln quickstart' },
  });
  const layers = layout.image.history.filter((entry) => !entry.empty_layer);
  assert.equal(layers.length, layout.image.rootfs.diff_ids.length);
  assert.equal(layers.length, layout.manifest.layers.length);

  const files = describeTree(await unpackFiles(layout, work));
  const withoutDigests = Object.fromEntries(
    Object.entries(files)
      .filter(([name]) => name === 'opt' || name.startsWith('opt/'))
      .map(([name, description]) => [name, description.replace(/ sha256:.*/, '')]),
  );
  assert.deepEqual(withoutDigests, {
    opt: 'directory 0755 0:0',
    'opt/app': 'directory 0755 0:0',
    'opt/app/greeting.txt': 'file 0644 0:0',
    'opt/app/report.txt': 'file 0644 0:0',
    'opt/app/run.sh': 'file 0755 1000:1000',
  });
  assert.equal(files['bin/sh'], 'link 0:0 -> /bin/busybox');
  // Of what was mounted or supplied for the RUN steps the image has at most empty mount points.
  assert.deepEqual(
    Object.keys(files).filter((name) => /^(etc\/(hosts|resolv\.conf)|proc\/|sys\/|dev\/|cache)/.test(name)),
    [],
  );
});

test('a pushed image is found by skopeo and built FROM again', async () => {
  using work = new WorkDirectory();
  await using registry = await startRegistry();
  const name = `${registry.host}/team/quickstart:1`;
  {
    await using daemon = await Daemon.start();
    await daemon.kiln.build(quickstart, ['-t', name, '--push']);
  }
  const { stdout } = await mustRun('skopeo', ['inspect', '--tls-verify=false', `docker://${name}`]);
  assert.equal(JSON.parse(stdout).Labels['org.opencontainers.image.title'], 'Kiln quickstart');

  // Another engine with an empty root: all it knows of the image is in the registry.
  await using other = await Daemon.start();
  const context = work.tree({
    Dockerfile: `FROM ${name}\nUSER root\nRUN /opt/app/run.sh > /said && id -u >> /said\n`,
  });
  const said = await other.kiln.textOf('said', context);
  assert.match(said, /^hello, world\nthis image was made of:\n(.*\n)+0\n$/);
});
