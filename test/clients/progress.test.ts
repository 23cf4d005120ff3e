import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { baseLayout } from '../rig/base-layout.ts';
import { readBuildEvents } from '../rig/build-events.ts';
import { project } from '../rig/project.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { inTerminal } from '../rig/terminals/terminal.ts';

describe('kiln build', () => {
  const rig = daemonRig();
  let context: string;
  before(() => {
    context = rig.work.tree({ Dockerfile: 'FROM base\nRUN echo first && sleep 0.3 && echo second >&2\n' });
  });

  test('shows with --progress plain each line as it comes, on standard error alone', async () => {
    const { stdout, stderr } = await rig.kiln.build(context, ['--no-cache', '--progress', 'plain']);
    assert.equal(stdout, '');
    assert.match(stderr, /^#\d+ \[2\/2\] RUN echo first/m);
    const [, first, second] = /^#\d+ (\d+\.\d+) first\n#\d+ (\d+\.\d+) second$/m.exec(stderr) ?? [];
    assert.ok(Number(second) - Number(first) >= 0.25, stderr);
  });

  test('is plain by default where standard error is no terminal', async () => {
    const { stderr } = await rig.kiln.build(context, ['--progress', 'auto']);
    assert.match(stderr, /^#\d+ CACHED$/m);
  });

  test('prints with --progress rawjson one JSON object an event', async () => {
    const { stderr } = await rig.kiln.build(context, ['--no-cache', '--progress', 'rawjson']);
    const events = readBuildEvents(stderr);
    const step = events.vertex('RUN echo first');
    assert.ok(step.started && step.completed && !step.cached);
    assert.equal(events.log('RUN echo first'), 'first\nsecond\n');
  });

  test('says nothing with --progress quiet, and the image id alone with --quiet', async () => {
    const silent = await rig.kiln.build(context, ['--progress', 'quiet', '-t', 'q']);
    assert.deepEqual({ stdout: silent.stdout, stderr: silent.stderr }, { stdout: '', stderr: '' });
    const iidfile = rig.work.at('iid');
    const quiet = await rig.kiln.build(context, ['--quiet', '-t', 'q', '--iidfile', iidfile]);
    assert.match(quiet.stdout, /^sha256:[0-9a-f]{64}\n$/);
    assert.equal(quiet.stderr, '');
    assert.equal(readFileSync(iidfile, 'utf8'), quiet.stdout.trim());
  });

  test('draws on a terminal what runs, with its time and last lines, over what was there', async () => {
    const { directory } = baseLayout();
    const screen = await inTerminal(project.kiln, [
      ...['--addr', rig.daemon.address, 'build', '--no-cache'],
      ...['--build-context', `base=oci-layout://${directory}:latest`, context],
    ]);
    assert.equal(screen.code, 0, screen.text);
    // Drawn several times, at the same place; while the step runs, its output is below it.
    assert.match(screen.text, /\[\+\] Building \d+\.\d+s \(\d+\/\d+\)\s*\n/);
    assert.match(screen.text, /=> \[2\/2\] RUN echo first.*\n => => # first/);
    assert.match(screen.text, /\[\+\] Building \d+\.\d+s \((\d+)\/\1\) FINISHED/);
    // biome-ignore lint/complexity/useRegexLiterals: the escape character is shown by its number.
    assert.match(screen.raw, new RegExp('\\x1b\\[\\d*A'));
  });

  test('refuses --progress tty where there is no terminal', async () => {
    const { code, stderr } = await rig.kiln.failingBuild(context, ['--progress', 'tty']);
    assert.equal(code, 1);
    assert.match(stderr, /needs standard error to be a terminal\nhint: use --progress plain/);
  });

  test('writes what it made to --metadata-file', async () => {
    const file = rig.work.at('metadata.json');
    await rig.kiln.build(context, ['-t', 'team/app:7', '--metadata-file', file]);
    const metadata = JSON.parse(readFileSync(file, 'utf8'));
    assert.equal(metadata['image.name'], 'team/app:7');
    assert.match(metadata['containerimage.config.digest'], /^sha256:[0-9a-f]{64}$/);
    assert.equal(metadata['containerimage.descriptor'].digest, metadata['containerimage.digest']);
  });
});
