import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { craftImage, tarOf } from '../rig/crafted-image.ts';
import { Daemon } from '../rig/daemon.ts';
import { type Layout, openArchive } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { type DaemonRig, openDaemon, suiteRig } from '../rig/suite-rig.ts';

const version = '10.0.20348.7';

const baseTar = tarOf([
  { name: 'Files', type: 'directory', mode: 0o755 },
  { name: 'Files/Windows', type: 'directory', mode: 0o755 },
  { name: 'Files/Windows/cmd.exe', data: 'MZ' },
  { name: 'Files/old.txt', data: 'old' },
  { name: 'Hives', type: 'directory', mode: 0o755 },
  { name: 'Hives/System_Delta', data: 'hive' },
]);

const dockerfile = `# escape=\`
FROM base
ENV NAME=value
WORKDIR C:\\app
COPY a.txt .
COPY dir C:\\Windows\\
ADD pack.tar C:/unpacked/
CMD ["app.exe"]
`;

describe('an image for Windows', () => {
  const rig = suiteRig(async (resources) => {
    const daemon = await openDaemon(resources);
    const base = daemon.work.tree({});
    craftImage(base, [{ tar: baseTar }], {
      architecture: 'amd64',
      os: 'windows',
      'os.version': version,
      config: { Env: ['Path=c:\\Windows'], User: 'ContainerUser' },
    });
    const context = daemon.work.tree({
      Dockerfile: dockerfile,
      'a.txt': 'a',
      'dir/b.txt': 'b',
      'pack.tar': tarOf([{ name: 'packed', data: 'p' }]),
    });
    return { ...daemon, base, context };
  }) as DaemonRig & { readonly base: string; readonly context: string };

  const windows = ['--platform', 'windows/amd64'];
  const from = (layout: string) => ['--build-context', `base=oci-layout://${layout}:latest`];

  let builds = 0;

  /** `more`: options of the output. */
  async function build(more = ''): Promise<Layout> {
    const archive = rig.work.at(`image-${++builds}.tar`);
    await rig.kiln.build(rig.context, [
      ...windows,
      ...from(rig.base),
      ...['-o', `type=oci,dest=${archive}${more}`],
    ]);
    return openArchive(archive, rig.work);
  }

  const tarOfLayer = (layout: Layout, index: number) =>
    gunzipSync(
      readFileSync(path.join(layout.directory, 'blobs', ...layout.manifest.layers[index]!.digest.split(':'))),
    );

  async function namesIn(layout: Layout, index: number): Promise<readonly string[]> {
    const { stdout } = await mustRun('tar', ['-tf', '-'], { input: tarOfLayer(layout, index) });
    return stdout.trim().split('\n');
  }

  test('is put together by COPY, ADD and configuration, with the layers that Windows has', async () => {
    const layout = await build();
    const { image } = layout;
    assert.deepEqual(
      { os: image.os, version: (image as unknown as Record<string, unknown>)['os.version'] },
      { os: 'windows', version },
    );
    assert.deepEqual(image.config, {
      User: 'ContainerUser',
      Env: ['Path=c:\\Windows', 'NAME=value'],
      Cmd: ['app.exe'],
      WorkingDir: '\\app',
      ArgsEscaped: true,
    });
    const count = layout.manifest.layers.length;
    assert.deepEqual(
      await Promise.all(Array.from({ length: count - 1 }, (_, index) => namesIn(layout, index + 1))),
      [
        ['Hives', 'Files', 'Files/app/'],
        ['Hives', 'Files', 'Files/app/', 'Files/app/a.txt'],
        ['Hives', 'Files', 'Files/Windows/', 'Files/Windows/b.txt'],
        ['Hives', 'Files', 'Files/unpacked/', 'Files/unpacked/packed'],
      ],
    );
    assert.match(
      tarOfLayer(layout, 2).toString('latin1'),
      /MSWINDOWS\.fileattr=32\n\d+ MSWINDOWS\.rawsd=AQAE/,
    );
  });

  test('is a base in turn, whose files are those of its drive', async () => {
    const layout = await build();
    const context = rig.work.tree({
      Dockerfile: 'FROM base AS win\nFROM scratch\nCOPY --from=win / /\n',
    });
    const out = rig.work.at('files');
    await rig.kiln.build(context, [
      ...windows,
      ...from(`${layout.directory}`),
      '-o',
      `type=local,dest=${out}`,
    ]);
    const { stdout } = await mustRun('find', ['.', '-type', 'f', '-printf', '%P\n'], { cwd: out });
    assert.deepEqual(stdout.trim().split('\n').sort(), [
      'Windows/b.txt',
      'Windows/cmd.exe',
      'app/a.txt',
      'old.txt',
      'unpacked/packed',
    ]);
  });

  test('is the same whenever it is built, with the times of files clamped', async () => {
    const reproducible = ',rewrite-timestamp=true,source-date-epoch=1700000000';
    const first = await build(reproducible);
    await rig.kiln.must(['prune', '--all']);
    const second = await build(reproducible);
    assert.equal(second.manifestDigest, first.manifestDigest);
  });

  test('comes back from caches as it was', async () => {
    await using registry = await startRegistry();
    const name = `${registry.host}/windows:1`;
    const cache = `type=registry,ref=${registry.host}/cache:1`;
    await rig.kiln.build(rig.context, [
      ...windows,
      ...from(rig.base),
      ...['-o', `type=image,name=${name},push=true`],
      ...['--export-cache', 'type=inline', '--export-cache', cache],
    ]);
    for (const imported of [`type=registry,ref=${name}`, cache]) {
      await using other = await Daemon.start();
      const out = rig.work.at(`cached-${imported.length}`);
      const { events } = await other.kiln.build(rig.context, [
        ...windows,
        ...from(rig.base),
        ...['--import-cache', imported, '-o', `type=local,dest=${out}`],
      ]);
      assert.deepEqual(events.steps('ran'), []);
      assert.equal(readFileSync(path.join(out, 'Windows/b.txt'), 'utf8'), 'b');
      assert.equal(readFileSync(path.join(out, 'unpacked/packed'), 'utf8'), 'p');
    }
  });

  test('gives nothing of its layers to an image for Linux that claims the same ones', async () => {
    const linux = rig.work.tree({});
    craftImage(linux, [{ tar: baseTar }]);
    const context = rig.work.tree({ Dockerfile: 'FROM base AS b\nFROM scratch\nCOPY --from=b / /\n' });
    const out = rig.work.at('linux-files');
    await rig.kiln.build(context, [...from(linux), '-o', `type=local,dest=${out}`]);
    assert.equal(readFileSync(path.join(out, 'Files/old.txt'), 'utf8'), 'old');
    assert.equal(readFileSync(path.join(out, 'Hives/System_Delta'), 'utf8'), 'hive');
  });
});
