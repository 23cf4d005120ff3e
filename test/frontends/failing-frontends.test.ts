import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { eventually } from '../rig/eventually.ts';
import { runningProcesses } from '../rig/running-processes.ts';
import { rootOfStep } from '../rig/step-process.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { pushImage } from './push-frontend-image.ts';

describe('a frontend image that gives no result', () => {
  const rig = suiteRig(async (resources) => {
    const registry = resources.use(await startRegistry());
    return { ...(await openDaemon(resources)), registry };
  });

  /** The context of a build whose frontend is this script. */
  const contextFor = async (name: string, script: string): Promise<string> => {
    const reference = `${rig.registry.host}/frontends/${name}:1`;
    const entrypoint = JSON.stringify(['/bin/sh', '-c', script]);
    const image = rig.work.tree({ Dockerfile: `FROM base\nENTRYPOINT ${entrypoint}\n` });
    await pushImage(rig.kiln, image, reference);
    return rig.work.tree({ Dockerfile: `# syntax=${reference}\nFROM scratch\n` });
  };

  /** What a build says whose frontend is this script. */
  const failureOf = async (name: string, script: string): Promise<string> => {
    const { stderr } = await rig.kiln.failingBuild(await contextFor(name, script));
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

  test('says that it was killed for memory', async () => {
    const mark = `98768${process.pid}`;
    const script = `sleep ${mark} & while ! test -e /go; do sleep 0.1; done; exec tail /dev/zero`;
    const context = await contextFor('greedy', script);
    const build = rig.kiln.start(context);
    const root = await rootOfStep(mark);
    writeFileSync(memoryLimit(root), String(24 * 1024 * 1024));
    writeFileSync(`${root}/go`, '');
    assert.notEqual((await build.finished).code, 0);
    assert.match(
      (await build.finished).stderr,
      /frontend \S+\/greedy:1@sha256:\S+ .*exit code: 137 \(SIGKILL, out of memory\)/,
    );
  });

  test('is named when it is for a platform that this machine does not run', async () => {
    const reference = `${rig.registry.host}/frontends/foreign:1`;
    const image = rig.work.tree({
      Dockerfile: 'FROM scratch\nCOPY run /\nENTRYPOINT ["/run"]\n',
      run: 'none',
    });
    await pushImage(rig.kiln, image, reference, ['--platform', 'linux/s390x,linux/mips64le']);
    const context = rig.work.tree({ Dockerfile: `# syntax=${reference}\nFROM scratch\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, new RegExp(`cannot load frontend ${reference}: .*no match for platform`));
  });

  test('is ended when it does not speak the protocol', async () => {
    assert.match(await failureOf('nonsense', 'echo hello; sleep 98765'), /standard output is not gRPC/);
  });

  test('is heard to the end, but shown in part, when it says too much', async () => {
    const said = await failureOf('loud', 'yes shouting | head -c 100000000 >&2; exit 4');
    assert.match(said, /exit code: 4/);
    assert.ok(said.length < 10_000_000, `${said.length} characters are shown`);
  });

  test('ends with its build when that is canceled, whatever it is doing', async () => {
    const context = await contextFor(
      'stuck',
      'trap "" HUP INT TERM; echo here it is >&2; (trap "" HUP INT TERM; sleep 98766) & sleep 98767',
    );
    const build = rig.kiln.start(context);
    await build.said('here it is');
    await rootOfStep('98766');
    build.kill('SIGINT');
    const { code } = await build.finished;
    assert.notEqual(code, 0);
    await eventually(
      () => whatIsLeft(rig.daemon.root).length === 0,
      () => whatIsLeft(rig.daemon.root),
    );
    assert.deepEqual(
      runningProcesses().filter(({ args }) => args[0] === 'sleep' && args[1]?.startsWith('9876')),
      [],
    );
  });

  test('is ended when it floods the connection, and takes no answers', async () => {
    const zero = (count: number) => '\\000'.repeat(count);
    const start = `PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n${zero(3)}\\004${zero(5)}`;
    const ping = `${zero(2)}\\010\\006${zero(5)}pingping`;
    const script = `printf '${start}'; while true; do printf '${ping.repeat(16)}'; done`;
    assert.match(await failureOf('pings', script), /standard output is not gRPC: Flooding/);
  });

  test('is named when there is none', async () => {
    const reference = `${rig.registry.host}/frontends/none:1`;
    const context = rig.work.tree({ Dockerfile: `# syntax=${reference}\nFROM scratch\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, new RegExp(`cannot load frontend ${reference}: .*not found`));
  });
});

/** The file that limits the memory of the container whose process has this root. */
function memoryLimit(root: string): string {
  const groups = readFileSync(path.join(path.dirname(root), 'cgroup'), 'utf8');
  const [, legacy] = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m.exec(groups) ?? [];
  if (legacy !== undefined) return path.join('/sys/fs/cgroup/memory', legacy, 'memory.limit_in_bytes');
  const [, unified = ''] = /^0::(.*)$/m.exec(groups) ?? [];
  return path.join('/sys/fs/cgroup', unified, 'memory.max');
}
