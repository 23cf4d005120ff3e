import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { leftoversOf } from '../rig/leftovers.ts';
import { project } from '../rig/project.ts';
import { mustRun, startProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

describe('bin/kiln and bin/kilnd', () => {
  test('run through a chain of symbolic links, from any directory, whatever node is first on the path', async () => {
    using work = new WorkDirectory();
    const elsewhere = work.tree({
      // Any use of it would fail.
      'bin/node': { content: '#!/bin/sh\necho "the wrong node" >&2\nexit 1\n', mode: 0o755 },
      'context/Dockerfile': 'FROM scratch\nCOPY Dockerfile /copied\n',
    });
    symlinkSync(project.kiln, path.join(elsewhere, 'absolute'));
    symlinkSync('../absolute', path.join(elsewhere, 'bin/kiln'));
    symlinkSync(project.kilnd, path.join(elsewhere, 'bin/kilnd'));
    const environment = {
      cwd: path.join(elsewhere, 'context'),
      env: { PATH: `${path.join(elsewhere, 'bin')}:/usr/sbin:/usr/bin:/sbin:/bin` },
    };
    const root = work.at('root');
    const { stdout } = await mustRun(
      'kiln',
      ['--root', root, 'build', '--progress', 'quiet', '-o', '-', '.'],
      environment,
    );
    assert.ok(stdout.includes('COPY Dockerfile /copied'));
    assert.deepEqual(leftoversOf(root), []);

    const socket = `unix://${work.at('k.sock')}`;
    const daemon = startProgram('kilnd', ['--root', root, '--addr', socket], environment);
    await daemon.said(`running server on ${socket}`);
    const variables = { ...environment, env: { ...environment.env, BUILDKIT_HOST: socket } };
    assert.match((await mustRun('kiln', ['debug', 'info'], variables)).stdout, /^BuildKit:/);
    const kilnHost = { ...environment, env: { ...environment.env, KILN_HOST: socket } };
    assert.match((await mustRun('kiln', ['du'], kilnHost)).stdout, /^ID\s/);
    daemon.kill('SIGTERM');
    assert.equal((await daemon.finished).code, 0);
  });

  test('print their version and help', async () => {
    assert.match((await mustRun(project.kiln, ['--version'])).stdout, /^kiln \d+\.\d+\.\d+\n$/);
    assert.match((await mustRun(project.kilnd, ['--version'])).stdout, /\d+\.\d+\.\d+\n$/);
    assert.match((await mustRun(project.kiln, ['build', '--help'])).stdout, /--build-arg/);
    assert.match((await mustRun(project.kilnd, ['--help'])).stdout, /--oci-worker-snapshotter/);
  });
});
