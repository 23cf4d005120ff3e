import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { mustRun } from '../rig/run-program.ts';
import { daemonRig } from '../rig/suite-rig.ts';

describe('a named context', () => {
  const rig = daemonRig();

  test('is a directory, with its own .dockerignore', async () => {
    const assets = rig.work.tree({ 'a.txt': 'asset', 'b.tmp': 'ignored', '.dockerignore': '*.tmp\n' });
    const context = rig.work.tree({
      Dockerfile:
        'FROM base\nCOPY --from=assets . /in/\nRUN --mount=from=assets,target=/m cat /m/a.txt > /list && ls /in >> /list\n',
    });
    const list = await rig.kiln.textOf('list', context, ['--build-context', `assets=${assets}`]);
    assert.equal(list, 'asseta.txt\n');
  });

  test('is an OCI layout by tag or digest, also one that another build wrote', async () => {
    const { directory, digest } = baseLayout();
    const context = rig.work.tree({ Dockerfile: 'FROM base\nENV SEEN=yes\nRUN echo $SEEN > /seen\n' });
    const layout = rig.work.at('layout');
    await rig.kiln.build(context, [
      ...['--build-context', `base=oci-layout://${directory}@${digest}`],
      ...['-t', 'made:first', '-o', `type=oci,tar=false,dest=${layout}`],
    ]);
    const next = rig.work.tree({ Dockerfile: 'FROM made\nRUN echo "$SEEN $(cat /seen)" > /again\n' });
    const again = await rig.kiln.textOf('again', next, [
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
    const context = rig.work.tree({
      Dockerfile:
        'FROM registry.invalid/app:2\nCOPY --from=tools /bin/busybox /copied\nRUN ls /copied > /list\n',
    });
    const list = await rig.kiln.textOf('list', context, [
      ...['--build-context', `registry.invalid/app:2=docker-image://${registry.host}/base:1`],
      ...['--build-context', `tools=docker-image://${registry.host}/base:1`],
    ]);
    assert.equal(list, '/copied\n');
  });

  test('replaces a stage of the same name', async () => {
    const made = rig.work.tree({ file: 'from the directory' });
    const context = rig.work.tree({
      Dockerfile: 'FROM base AS made\nRUN exit 5\nFROM scratch\nCOPY --from=made /file /\n',
    });
    const text = await rig.kiln.textOf('file', context, ['--build-context', `made=${made}`]);
    assert.equal(text, 'from the directory');
  });
});
