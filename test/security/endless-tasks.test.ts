// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const work = new WorkDirectory();
after(() => work[Symbol.dispose]());

/** Is read in time linear in its text, but that times its patterns: hours. */
const endless = [
  'FROM base',
  `ENV X=${'a'.repeat(400_000)}`,
  ...Array.from({ length: 100 }, () => `ENV Y=\${X#*${'?a'.repeat(20_000)}b}`),
  '',
].join('\n');

test('other builds do not wait for a Dockerfile that takes hours, nor does the end of the daemon', async () => {
  await using daemon = await Daemon.start();
  const hours = daemon.kiln.start(work.tree({ Dockerfile: endless }), ['--progress', 'plain']);
  await hours.said('load .dockerignore');
  for (let round = 0; round < 2; round++) {
    const text = `round ${round}`;
    const context = work.tree({ Dockerfile: `FROM base\nRUN echo ${text} > /said\n` });
    assert.equal(await daemon.kiln.textOf('said', context), `${text}\n`);
  }
  assert.equal(hours.hasEnded(), false);
  await daemon.stop();
  const { code, stderr } = await hours.finished;
  assert.equal(code, 1);
  assert.match(stderr, /error: .*the daemon is shutting down/);
});
