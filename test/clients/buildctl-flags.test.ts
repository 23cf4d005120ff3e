import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { baseLayout } from '../rig/base-layout.ts';
import { buildctlClients } from '../rig/clients.ts';
import { type Finished, mustRun, runProgram } from '../rig/run-program.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { inTerminal } from '../rig/terminals/terminal.ts';

const dockerfile = `
FROM base AS one
RUN echo "from one" && echo 1 > /one
FROM base AS two
RUN echo "from two" && echo 2 > /two
FROM base
COPY --from=one /one /
COPY --from=two /two /
RUN cat /one /two | tr '\\n' ' ' > /both && echo "joined: $(cat /both)"
`;

for (const { name, program } of buildctlClients()) {
  describe(`${name}, with buildctl's flags`, () => {
    const rig = daemonRig();
    let build: readonly string[];
    before(() => {
      const context = rig.work.tree({ Dockerfile: dockerfile });
      const base = baseLayout();
      build = [
        ...['--addr', rig.daemon.address, 'build', '--frontend', 'dockerfile.v0'],
        ...['--local', `context=${context}`, '--local', `dockerfile=${context}`],
        ...['--oci-layout', `store=${base.directory}`],
        ...['--opt', `context:base=oci-layout://store@${base.digest}`],
      ];
    });
    const run = (...args: string[]): Promise<Finished> =>
      mustRun(program, ['--addr', rig.daemon.address, ...args]);

    test('builds a Dockerfile and shows its steps with --progress plain', async () => {
      const { stderr, bytes } = await mustRun(program, [
        ...build,
        ...['--progress', 'plain', '--output', 'type=tar,dest=-'],
      ]);
      for (const step of ['[one 2/2] RUN', '[two 2/2] RUN', '[stage-2 2/4] COPY', '[stage-2 4/4] RUN']) {
        assert.ok(stderr.includes(step), stderr);
      }
      assert.match(stderr, /^#\d+ \d+\.\d+ from one$/m);
      assert.match(stderr, /^#\d+ \d+\.\d+ joined: 1 2 $/m);
      assert.match(stderr, /^#\d+ DONE \d+\.\d+s$/m);
      assert.equal((await mustRun('tar', ['-xOf', '-', 'both'], { input: bytes })).stdout, '1 2 ');
    });

    test('shows what was cached', async () => {
      await mustRun(program, [...build, '--progress', 'plain']);
      const { stderr } = await mustRun(program, [...build, '--progress', 'plain']);
      assert.equal(stderr.match(/^#\d+ CACHED$/gm)?.length, 5, stderr);
    });

    test('shows a live picture with --progress tty', async () => {
      const screen = await inTerminal(program, [...build, '--no-cache', '--progress', 'tty']);
      assert.equal(screen.code, 0, screen.text);
      assert.match(screen.text, /\[\+\] Building \d+\.\d+s \(\d+\/\d+\) FINISHED/);
      assert.match(screen.text, /=> \[one 2\/2\] RUN echo "from one"/);
    });

    test('writes the metadata of an image', async () => {
      const file = rig.work.at(`${name}.json`);
      await mustRun(program, [...build, '--output', 'type=image,name=app:1', '--metadata-file', file]);
      const metadata = JSON.parse(readFileSync(file, 'utf8'));
      assert.match(metadata['containerimage.digest'], /^sha256:/);
      assert.match(metadata['containerimage.config.digest'], /^sha256:/);
      assert.equal(metadata['containerimage.descriptor'].digest, metadata['containerimage.digest']);
      assert.equal(metadata['image.name'], 'app:1');
    });

    test('says why a build failed, with the step, its output and the lines of the Dockerfile', async () => {
      const context = rig.work.tree({ Dockerfile: 'FROM base\nRUN echo "last words" && exit 17\n' });
      const failing = build.map((arg) => arg.replace(/^(context|dockerfile)=.*/, `$1=${context}`));
      const { code, stderr } = await runProgram(program, [...failing, '--progress', 'plain']);
      assert.equal(code, 1);
      assert.match(stderr, /last words/);
      assert.match(stderr, /did not complete successfully: exit code: 17/);
      assert.match(stderr, /Dockerfile:2\n-+\n\s+1 \|\s+FROM base\n\s+2 \| >>> RUN echo/);
    });

    test('lists the workers and what the daemon is', async () => {
      assert.match((await run('debug', 'workers')).stdout, /^ID\s+PLATFORMS\n\S+\s+linux\/\S+/);
      assert.match((await run('debug', 'workers', '--verbose')).stdout, /org\.mobyproject\.buildkit\.worker/);
      assert.match((await run('debug', 'info')).stdout, /^BuildKit:\s+kiln v\d/);
    });

    test('shows what the cache takes, and empties it', async () => {
      await mustRun(program, build);
      const usage = await run('du');
      assert.match(usage.stdout, /^ID\s+RECLAIMABLE\s+SIZE\s+LAST ACCESSED\n\S+/);
      assert.match(usage.stdout, /^Total:\s+\d/m);
      assert.match((await run('du', '--verbose')).stdout, /^Description:\s+\S/m);
      const pruned = await run('prune', '--all');
      assert.match(pruned.stdout, /^Total:\s+[1-9]/m);
      assert.doesNotMatch((await run('du')).stdout, /^\S+\s+true\s/m);
    });
  });
}
