import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startRegistry } from '../src/registry/registry-rig.ts';
import { baseLayout } from './rig/base-layout.ts';
import { Daemon } from './rig/daemon.ts';
import { mustRun } from './rig/run-program.ts';
import { WorkDirectory } from './rig/work-directory.ts';

describe('a named context', () => {
  let work: WorkDirectory;
  let daemon: Daemon;
  before(async () => {
    work = new WorkDirectory();
    daemon = await Daemon.start();
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });

  test('is a directory, with its own .dockerignore', async () => {
    const assets = work.tree({ 'a.txt': 'asset', 'b.tmp': 'ignored', '.dockerignore': '*.tmp\n' });
    const context = work.tree({
      Dockerfile:
        'FROM base\nCOPY --from=assets . /in/\nRUN --mount=from=assets,target=/m cat /m/a.txt > /list && ls /in >> /list\n',
    });
    const list = await daemon.kiln.textOf('list', context, ['--build-context', `assets=${assets}`]);
    assert.equal(list, 'asseta.txt\n');
  });

  test('is an OCI layout by tag or digest, also one that another build wrote', async () => {
    const { directory, digest } = baseLayout();
    const context = work.tree({ Dockerfile: 'FROM base\nENV SEEN=yes\nRUN echo $SEEN > /seen\n' });
    const layout = work.at('layout');
    await daemon.kiln.build(context, [
      ...['--build-context', `base=oci-layout://${directory}@${digest}`],
      ...['-t', 'made:first', '-o', `type=oci,tar=false,dest=${layout}`],
    ]);
    const next = work.tree({ Dockerfile: 'FROM made\nRUN echo "$SEEN $(cat /seen)" > /again\n' });
    const again = await daemon.kiln.textOf('again', next, [
      '--build-context',
      `made=oci-layout://${layout}:first`,
    ]);
    assert.equal(again, 'yes yes\n');
  });

  test('is an image of a registry, in place of the one that the Dockerfile names', async () => {
    await using registry = await startRegistry();
    const { directory } = baseLayout();
    await mustRun('skopeo', [
      ...['copy', '--quiet', '--dest-tls-verify=false'],
      ...[`oci:${directory}:latest`, `docker://${registry.host}/base:1`],
    ]);
    const context = work.tree({
      Dockerfile:
        'FROM registry.invalid/app:2\nCOPY --from=tools /bin/busybox /copied\nRUN ls /copied > /list\n',
    });
    const list = await daemon.kiln.textOf('list', context, [
      ...['--build-context', `registry.invalid/app:2=docker-image://${registry.host}/base:1`],
      ...['--build-context', `tools=docker-image://${registry.host}/base:1`],
    ]);
    assert.equal(list, '/copied\n');
  });

  test('replaces a stage of the same name', async () => {
    const made = work.tree({ file: 'from the directory' });
    const context = work.tree({
      Dockerfile: 'FROM base AS made\nRUN exit 5\nFROM scratch\nCOPY --from=made /file /\n',
    });
    const text = await daemon.kiln.textOf('file', context, ['--build-context', `made=${made}`]);
    assert.equal(text, 'from the directory');
  });
});
