import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { pushImage } from './push-frontend-image.ts';

describe('a frontend image that gives no result', () => {
  const rig = suiteRig(async (resources) => {
    const registry = resources.use(await startRegistry());
    return { ...(await openDaemon(resources)), registry };
  });

  /** What a build says whose frontend is this script. */
  const failureOf = async (name: string, script: string): Promise<string> => {
    const reference = `${rig.registry.host}/frontends/${name}:1`;
    const entrypoint = JSON.stringify(['/bin/sh', '-c', script]);
    const image = rig.work.tree({ Dockerfile: `FROM base\nENTRYPOINT ${entrypoint}\n` });
    await pushImage(rig.kiln, image, reference);
    const context = rig.work.tree({ Dockerfile: `# syntax=${reference}\nFROM scratch\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, new RegExp(`frontend \\S+/${name}:1@sha256:[0-9a-f]{64}`));
    assert.deepEqual(whatIsLeft(rig.daemon.root), []);
    return stderr;
  };

  test('says so when it ended as if all were well', async () => {
    assert.match(await failureOf('silent', 'exit 0'), /ended without a result/);
  });

  test('says how it ended, and what it said', async () => {
    const said = await failureOf('crash', 'echo it broke >&2; exit 3');
    assert.match(said, /did not complete successfully: exit code: 3/);
    assert.match(said, /it broke/);
  });

  test('is ended when it does not speak the protocol', async () => {
    assert.match(await failureOf('nonsense', 'echo hello; sleep 98765'), /standard output is not gRPC/);
  });

  test('is heard to the end, but shown in part, when it says too much', async () => {
    const said = await failureOf('loud', 'yes shouting | head -c 100000000 >&2; exit 4');
    assert.match(said, /exit code: 4/);
    assert.ok(said.length < 10_000_000, `${said.length} characters are shown`);
  });

  test('is named when there is none', async () => {
    const reference = `${rig.registry.host}/frontends/none:1`;
    const context = rig.work.tree({ Dockerfile: `# syntax=${reference}\nFROM scratch\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, new RegExp(`cannot load frontend ${reference}: .*not found`));
  });
});
