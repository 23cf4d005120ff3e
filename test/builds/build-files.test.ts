import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { baseLayout } from '../rig/base-layout.ts';
import { project } from '../rig/project.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

suite('a build in TypeScript', () => {
  const rig = suiteRig(openDaemon);
  const example = path.join(project.root, 'examples/typescript');
  const base = ['--build-context', `busybox=oci-layout://${baseLayout().directory}:latest`];

  const fileOf = (text: string): string => `${rig.work.tree({ 'build.ts': text })}/build.ts`;
  const run = async (args: readonly string[]) =>
    await rig.kiln.run(['build', '--progress', 'plain', ...args]);

  test('gives the image that a Dockerfile gives', async () => {
    const digests: unknown[] = [];
    for (const file of ['Dockerfile', 'build.ts']) {
      const metadata = rig.work.at(`${file}.json`);
      await rig.kiln.build(example, [
        ...['-f', path.join(example, file), '--build-arg', 'VERSION=2', '--metadata-file', metadata],
        ...[
          '--build-arg',
          'SOURCE_DATE_EPOCH=1700000000',
          '-o',
          'type=image,name=notes:1,rewrite-timestamp=true',
        ],
        ...base,
      ]);
      const { 'containerimage.digest': digest } = JSON.parse(readFileSync(metadata, 'utf8'));
      digests.push(digest);
    }
    assert.match(String(digests[0]), /^sha256:/);
    assert.equal(digests[1], digests[0]);
  });

  test('gives files, of the target that is named, without the PATH of a context', async () => {
    const output = rig.work.at('site');
    const file = path.join(example, 'build.ts');
    const { code, stderr } = await run(['-f', file, '--target', 'site', '-o', output, ...base]);
    assert.equal(code, 0, stderr);
    assert.match(readFileSync(`${output}/index.html`, 'utf8'), /pasta.*\n.*tea.*\n<p>version dev<\/p>/);
  });

  test('finds its steps in a remote cache', async () => {
    const cache = rig.work.at('cache');
    const site = [
      '-f',
      path.join(example, 'build.ts'),
      '--target',
      'site',
      '--build-arg',
      'VERSION=3',
      ...base,
    ];
    const first = await run([...site, '--cache-to', `type=local,dest=${cache},mode=max`]);
    assert.match(first.stderr, /make the pages\n(#\d+ .*\n)*#\d+ DONE/);
    await rig.kiln.must(['prune', '--all']);
    const second = await run([
      ...site,
      '--cache-from',
      `type=local,src=${cache}`,
      '-o',
      rig.work.at('cached'),
    ]);
    assert.match(second.stderr, /make the pages\n#\d+ CACHED/);
  });

  test('answers for its targets and their arguments', async () => {
    const ask = async (question: string) => {
      const { stdout } = await run(['-f', path.join(example, 'build.ts'), '--call', question, ...base]);
      return stdout;
    };
    assert.match(await ask('targets'), /^TARGET +DESCRIPTION\nsite +the pages.*\napp \(default\) a server/);
    assert.match(await ask('outline'), /BUILD ARG +VALUE +DESCRIPTION\nVERSION +dev +what the pages say/);
  });

  test('shows its lines where a step or the file itself fails, and what it prints', async () => {
    const step = await run([
      '-f',
      fileOf(
        `import type { FrontendBuild } from 'kiln/frontend';
export default async (_: object, build: FrontendBuild) => {
  console.log('this is\\nprinted\\u001b[2J');
  const { state } = await build.image('busybox');
  return state
    .run(['/bin/sh', '-c', 'exit 3']).root;
};
`,
      ),
      ...base,
    ]);
    assert.notEqual(step.code, 0);
    assert.match(step.stderr, /this is\nprinted\\u001b/);
    assert.match(step.stderr, /build\.ts:6\n[\s\S]*6 \| >>> +\.run\(/);
    assert.match(step.stderr, /exit code: 3/);
    const thrown = await run(['-f', fileOf('export default () => {\n  throw new Error("no idea");\n};\n')]);
    assert.match(thrown.stderr, /2 \| >>> +throw new Error/);
    assert.match(thrown.stderr, /error: failed to solve: build\.ts:2:9: no idea/);
  });

  test('is refused where a definition is compared with provenance', async () => {
    const { stderr } = await rig.kiln.run([
      'verify',
      'notes:1',
      '-f',
      path.join(example, 'build.ts'),
      example,
    ]);
    assert.match(stderr, /error: what .*build\.ts makes cannot be compared with provenance/);
  });

  test('builds for several platforms, each with what it says of itself', async () => {
    const output = rig.work.at('platforms');
    const file = fileOf(`import type { FrontendBuild } from 'kiln/frontend';
import { files, scratch } from 'kiln/llb';
export default (_: object, build: FrontendBuild) =>
  scratch().file(files().mkfile('/of', 0o644, build.platform.architecture));
`);
    const { code, stderr } = await run(['-f', file, '--platform', 'linux/amd64,linux/arm64', '-o', output]);
    assert.equal(code, 0, stderr);
    assert.equal(readFileSync(`${output}/linux_arm64/of`, 'utf8'), 'arm64');
  });
});
