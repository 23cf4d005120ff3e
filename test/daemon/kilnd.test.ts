import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { leftoversOf } from '../rig/leftovers.ts';
import { project } from '../rig/project.ts';
import { runProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

describe('kilnd', () => {
  test("takes buildkitd's flags, and listens on every --addr", async () => {
    using work = new WorkDirectory();
    const second = `unix://${work.at('second.sock')}`;
    await using daemon = await Daemon.start({
      args: [
        ...['--addr', second, '--addr', 'tcp://127.0.0.1:0', '--debug'],
        ...['--oci-worker=true', '--containerd-worker=false', '--oci-worker-snapshotter=overlayfs'],
        ...['--oci-worker-labels', 'zone=test', '--oci-worker-gc=false', '--oci-max-parallelism', '2'],
        ...['--allow-insecure-entitlement', 'network.host', '--oci-worker-net=host', '--rootless=false'],
      ],
    });
    await daemon.process.said('running server on tcp://');
    const tcp = /running server on (tcp:\/\/\S+)/.exec(daemon.process.stderr())?.[1];
    assert.ok(tcp);
    for (const address of [daemon.address, second, tcp]) {
      const { stdout } = await new Kiln({ address }).must(['debug', 'workers', '--verbose']);
      assert.match(stdout, /zone:\s+test/);
    }
    assert.doesNotMatch(daemon.process.stderr(), /has no effect/);
  });

  test('reads buildkitd.toml; the command line goes before it', async () => {
    using work = new WorkDirectory();
    const directory = work.tree({
      'kilnd.toml': `
root = "${work.at('not-this-one')}"
[worker.oci]
  enabled = true
  max-parallelism = 3
  [worker.oci.labels]
    zone = "from the file"
[registry."registry.example"]
  mirrors = ["mirror.example"]
`,
    });
    await using daemon = await Daemon.start({ args: ['--config', `${directory}/kilnd.toml`] });
    const { stdout } = await daemon.kiln.must(['debug', 'workers', '--verbose']);
    assert.match(stdout, /zone:\s+from the file/);
    assert.equal(existsSync(work.at('not-this-one')), false);
  });

  test('refuses unknown flags and keys, naming them', async () => {
    using work = new WorkDirectory();
    const flag = await runProgram(project.kilnd, ['--root', work.at('root'), '--oci-worker-snapshoter=x']);
    assert.equal(flag.code, 1);
    assert.match(flag.stderr, /unknown option '--oci-worker-snapshoter=x'/);

    const directory = work.tree({ 'kilnd.toml': '[worker.oci]\n  max-paralelism = 3\n' });
    const key = await runProgram(project.kilnd, [
      ...['--root', work.at('root'), '--addr', `unix://${work.at('k.sock')}`],
      ...['--config', `${directory}/kilnd.toml`],
    ]);
    assert.equal(key.code, 1);
    assert.match(key.stderr, /worker\.oci\.max-paralelism/);
    assert.match(key.stderr, /max-parallelism/);
    assert.equal(existsSync(work.at('root')), false);
  });

  test('warns of flags and keys that it knows and does not support', async () => {
    using work = new WorkDirectory();
    const directory = work.tree({ 'kilnd.toml': '[worker.containerd]\n  enabled = true\n' });
    await using daemon = await Daemon.start({
      args: ['--config', `${directory}/kilnd.toml`, '--otel-socket-path', '/run/otel.sock'],
    });
    const said = daemon.process.stderr();
    assert.match(said, /warn.*--otel-socket-path is not supported yet/);
    assert.match(said, /warn.*worker\.containerd.*not supported/);
  });

  test('is alone on its root: a second one is refused', async () => {
    using work = new WorkDirectory();
    await using daemon = await Daemon.start();
    const second = await runProgram(project.kilnd, [
      ...['--root', daemon.root, '--addr', `unix://${work.at('second.sock')}`],
    ]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(daemon.root));
    const context = work.tree({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    // The first one has not noticed.
    await daemon.kiln.build(context);
  });

  test('cancels running builds on SIGTERM, leaves nothing mounted or running, and exits with 0', async () => {
    using work = new WorkDirectory();
    const root = work.at('root');
    const daemon = await Daemon.start({ root });
    const seconds = 86_400 + process.pid;
    const context = work.tree({
      Dockerfile: `FROM base\nRUN --mount=type=cache,target=/c echo sleeping && sleep ${seconds}\n`,
    });
    const build = daemon.kiln.start(context);
    await build.said(' sleeping\n');
    assert.notDeepEqual(leftoversOf(root), []);
    // The step would take a day. Asserts the exit code and that nothing is left.
    await daemon.stop();
    const end = await build.finished;
    assert.equal(end.code, 1);
    assert.match(end.stderr, /error: .*shutting down/);
    // The root is as good as before.
    await using again = await Daemon.start({ root });
    await again.kiln.build(work.tree({ Dockerfile: 'FROM base\nRUN true\n' }));
  });
});
