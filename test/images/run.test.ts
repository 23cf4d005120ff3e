import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { describe, test } from 'node:test';
import { freePort } from '../../src/base/testing/free-port.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { eventually } from '../rig/eventually.ts';
import { Kiln } from '../rig/kiln.ts';
import { leftoversOf } from '../rig/leftovers.ts';
import { project } from '../rig/project.ts';
import { mustRun, runProgram, startProgram } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { Screen } from '../rig/terminals/screen.ts';
import { inTerminal } from '../rig/terminals/terminal.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const dockerfile = `
FROM base
RUN echo made > /made && mkdir /work && chown 7:8 /work
WORKDIR /work
USER 7:8
ENV GREETING=hello
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["cat /made; pwd; id -u; echo $GREETING"]
`;

const rig = suiteRig(async (resources) => {
  const opened = await openDaemon(resources);
  await opened.kiln.build(opened.work.tree({ Dockerfile: dockerfile }), ['-t', 'tried']);
  return opened;
});

/** The engine's records of trees that processes wrote to. */
async function treesLeft(kiln: Kiln): Promise<readonly unknown[]> {
  const records = JSON.parse((await kiln.must(['du', '--format', 'json'])).stdout) as readonly {
    readonly description: string;
  }[];
  return records.filter(({ description }) => description.startsWith('container of'));
}

describe('kiln run', () => {
  test('runs what the image says, as the image says, and leaves nothing', async () => {
    const { stdout, stderr } = await rig.kiln.must(['run', '--quiet', 'tried']);
    assert.equal(stdout, 'made\n/work\n7\nhello\n');
    assert.equal(stderr, '');
    const wrote = await rig.kiln.must(['run', 'tried', 'echo mine > /work/file; ls /work']);
    assert.equal(wrote.stdout, 'file\n');
    assert.equal((await rig.kiln.must(['run', 'tried', 'ls /work'])).stdout, '');
    assert.deepEqual(await treesLeft(rig.kiln), []);
    const { stdout: history } = await runProgram(project.kiln, [
      '--addr',
      rig.daemon.address,
      'debug',
      'solver',
    ]);
    assert.equal(history, 'no build is running\n');
  });

  test('needs no daemon, finds images by their ids, and takes flags instead of what the image says', async () => {
    using work = new WorkDirectory();
    const root = work.at('root');
    const kiln = new Kiln({ root });
    const id = (await kiln.build(work.tree({ Dockerfile: dockerfile }), ['-q', '-t', 'app'])).stdout.trim();
    const missing = await kiln.run(['run', '-v', '/not/there:/data', 'app']);
    assert.match(missing.stderr, /\/not\/there, to be mounted at \/data, does not exist/);
    const mounted = work.tree({ file: 'outside', variables: '# none\nFROM_FILE=1\nGREETING=from file\n' });
    const script =
      'id -u; id -g; pwd; echo "$GREETING $FROM_FILE $PASSED"; cat /in/file; echo new > /out/new; ! echo no > /in/no; touch /tmp2/x; hostname';
    const { stdout } = await kiln.must(
      [
        ...['run', '-iu', '0:9', '-w/', '--entrypoint', '/bin/sh', '-e', 'GREETING=given', '-e', 'PASSED'],
        ...['--env-file', `${mounted}/variables`, '-v', `${mounted}:/in:ro`, '--hostname=tryout'],
        ...['--mount', `type=bind,src=${mounted},dst=/out`, '--tmpfs', '/tmp2', '--rm', id],
        ...['-c', script],
      ],
      { env: { PASSED: 'passed on' } },
    );
    assert.equal(stdout, '0\n9\n/\ngiven 1 passed on\noutsidetryout\n');
    assert.equal(readFileSync(`${mounted}/new`, 'utf8'), 'new\n');
    assert.ok(!existsSync(`${mounted}/no`));
    assert.deepEqual(await treesLeft(kiln), []);
    assert.deepEqual(leftoversOf(root), []);
  });

  test('passes exit codes, input and both outputs through, whole', async () => {
    const failed = await rig.kiln.run(['run', '-q', 'tried', 'echo out; echo err >&2; exit 42']);
    assert.deepEqual([failed.code, failed.stdout, failed.stderr], [42, 'out\n', 'err\n']);
    const killed = await rig.kiln.run(['run', 'tried', "/bin/sh -c 'kill -9 $$'; exit $?"]);
    assert.equal(killed.code, 137);
    const large = Buffer.alloc(3_000_000, 'input that is long\n');
    const { bytes } = await rig.kiln.must(['run', '-i', '--entrypoint', 'cat', 'tried'], { input: large });
    assert.ok(bytes.equals(large));
    const unread = await rig.kiln.must(['run', '-i', 'tried', 'echo done'], { input: large });
    assert.equal(unread.stdout, 'done\n');
    const none = await rig.kiln.must(['run', 'tried', 'cat'], { input: 'not for it' });
    assert.equal(none.stdout, '');
    const head = await mustRun('sh', [
      '-c',
      `${project.kiln} --addr ${rig.daemon.address} run tried 'while true; do echo y; done' | head -n 1`,
    ]);
    assert.equal(head.stdout, 'y\n');
  });

  test('flags behind the image are the process’s', async () => {
    const shown = ['-e', 'B', '--help', '--', '--tty'];
    const args = [
      'run',
      '-e',
      'A=1',
      '--entrypoint=/bin/sh',
      'tried',
      '-c',
      'echo "args: $*"',
      'sh',
      ...shown,
    ];
    assert.equal((await rig.kiln.must(args)).stdout, 'args: -e B --help -- --tty\n');
    const { stdout } = await rig.kiln.must(['run', '--help']);
    assert.match(stdout, /Usage: kiln run \[options\] <image> \[command\.\.\.\]/);
  });

  test('says what keeps a process from running', async () => {
    const fails = async (...args: readonly string[]) => {
      const { code, stderr } = await rig.kiln.run(['run', '-q', ...args]);
      return `${code}: ${stderr}`;
    };
    assert.match(
      await fails('--entrypoint', 'missing', 'tried'),
      /^127: (.*\n)*.*missing not found in the image/,
    );
    assert.match(await fails('Not/A/Name'), /^125: error: invalid image reference/);
    assert.match(await fails('127.0.0.1:1/not/there:1'), /^125: (.*\n)*.*cannot reach 127\.0\.0\.1:1/);
    assert.match(await fails('-v', 'named:/data', 'tried'), /^125: (.*\n)*.*there are no named volumes/);
    assert.match(
      await fails('-v', '/etc:/host', 'tried'),
      /^125: error: this daemon does not let \/etc be mounted into containers\nhint: start it with/,
    );
    assert.match(await fails('--network', 'bridge', 'tried'), /Allowed choices are host, none/);
    await rig.kiln.build(rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' }), [
      '-t',
      'commandless',
    ]);
    assert.match(
      await fails('commandless'),
      /^125: error: the image does not say what to run\nhint: name a command/,
    );
  });

  test('pulls an image of a registry', async () => {
    await using registry = await startRegistry();
    const name = `${registry.host}/team/remote:1`;
    await rig.kiln.build(rig.work.tree({ Dockerfile: `${dockerfile}LABEL remote=1\n` }), [
      '-t',
      name,
      '--push',
    ]);
    using work = new WorkDirectory();
    const other = new Kiln({ root: work.at('root') });
    assert.equal((await other.must(['run', '--pull', name, 'cat /made'])).stdout, 'made\n');
    assert.deepEqual(await treesLeft(other), []);
  });

  test('its ports are the machine’s, unless it has no network', async () => {
    const port = await freePort();
    const serve = `echo answer | /bin/busybox nc -l -p ${port}`;
    const server = startProgram(project.kiln, ['--addr', rig.daemon.address, 'run', 'tried', serve]);
    await eventually(
      () =>
        new Promise<boolean>((resolve) => {
          let said = '';
          const socket = net.connect(port, '127.0.0.1');
          socket.on('data', (data) => {
            said += data;
          });
          socket.on('error', () => {});
          socket.on('close', () => resolve(said === 'answer\n'));
          socket.end();
        }),
      server.stderr,
    );
    assert.equal((await server.finished).code, 0);
    const alone = await rig.kiln.must([
      'run',
      '--network',
      'none',
      'tried',
      '/bin/busybox ip -o link | wc -l',
    ]);
    assert.equal(alone.stdout.trim(), '1');
  });

  test('gives the process a terminal when there is one, and gives the terminal back', async () => {
    const kiln = [project.kiln, '--addr', rig.daemon.address].join(' ');
    const command = `before=$(stty -g); ${kiln} run tried 'test -t 0 && test -t 1 && /bin/busybox stty size; exit 5'; echo "code $?"; test "$before" = "$(stty -g)" && echo restored`;
    const { text } = await inTerminal('sh', ['-c', command]);
    assert.match(text, /40 120\ncode 5\nrestored\n$/);
    const without = await rig.kiln.must(['run', '-t', 'tried', 'test -t 1 && /bin/busybox stty size'], {});
    assert.equal(without.stdout, '24 80\r\n');
  });
});

describe('a terminal of the user', () => {
  test('passes on keys, also Ctrl-C, and its size when that changes', async () => {
    const ended = rig.work.at('ended');
    // A signal ends the reading of a line, as the end of the input does.
    const script =
      'trap "echo interrupted; asked=yes" INT; echo ready; while read line || test -n "$asked"; do asked=; echo "got $line"; /bin/busybox stty size; done';
    const command = `${project.kiln} --addr ${rig.daemon.address} run tried '${script}'; echo $? > ${ended}`;
    await using screen = await Screen.open(rig.work.at('tmux'), command);
    await screen.shows('ready');
    await screen.type('one', 'Enter');
    await screen.shows('got one\n30 100');
    await screen.resize(70, 20);
    await screen.until(async () => {
      await screen.type('size', 'Enter');
      return (await screen.text()).includes('20 70');
    });
    await screen.type('C-c');
    await screen.shows('interrupted');
    await screen.until(async () => {
      // The signal may have come while nothing was read: then the first end is taken for an interruption.
      await screen.type('C-d');
      return existsSync(ended) && readFileSync(ended, 'utf8').trim() !== '';
    });
    assert.equal(readFileSync(ended, 'utf8'), '0\n');
  });
});

describe('a run that is ended', () => {
  const endless = 'trap "" INT; echo ready >&2; while true; do sleep 0.1; done';
  const obeying = 'trap "exit 9" TERM INT; echo ready >&2; while true; do sleep 0.1; done';

  async function assertNothingRuns(kiln: Kiln): Promise<void> {
    let left: readonly unknown[] = [];
    await eventually(
      async () => {
        left = await treesLeft(kiln);
        return left.length === 0;
      },
      () => left,
    );
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`by ${signal}: the process is asked, and its answer counts`, async () => {
      const running = startProgram(project.kiln, ['--addr', rig.daemon.address, 'run', 'tried', obeying]);
      await running.said('ready');
      running.kill(signal);
      assert.equal((await running.finished).code, 9);
      await assertNothingRuns(rig.kiln);
    });
  }

  test('by a second signal: the process is killed, with a daemon and without', async () => {
    using work = new WorkDirectory();
    const root = work.at('root');
    const own = new Kiln({ root });
    await own.build(work.tree({ Dockerfile: dockerfile }), ['-t', 'tried']);
    for (const engine of [
      ['--addr', rig.daemon.address],
      ['--root', root],
    ]) {
      const running = startProgram(project.kiln, [...engine, 'run', 'tried', endless]);
      await running.said('ready');
      running.kill('SIGINT');
      running.kill('SIGTERM');
      assert.equal((await running.finished).code, 130);
    }
    assert.deepEqual(leftoversOf(root), []);
    await assertNothingRuns(own);
    await assertNothingRuns(rig.kiln);
  });

  test('by the death of its client, or by the death or the end of its daemon', async () => {
    const client = startProgram(project.kiln, ['--addr', rig.daemon.address, 'run', 'tried', endless]);
    await client.said('ready');
    client.kill('SIGKILL');
    await client.finished;
    await assertNothingRuns(rig.kiln);

    using work = new WorkDirectory();
    const root = work.at('root');
    const killed = await Daemon.start({ root });
    await killed.kiln.build(work.tree({ Dockerfile: dockerfile }), ['-t', 'tried']);
    const orphan = startProgram(project.kiln, ['--addr', killed.address, 'run', 'tried', endless]);
    await orphan.said('ready');
    killed.process.kill('SIGKILL');
    const { code, stderr } = await orphan.finished;
    assert.equal(code, 125);
    assert.match(stderr, /lost|closed/);
    const next = await Daemon.start({ root });
    assert.deepEqual(await treesLeft(next.kiln), []);
    const last = startProgram(project.kiln, ['--addr', next.address, 'run', 'tried', endless]);
    await last.said('ready');
    await next[Symbol.asyncDispose]();
    assert.equal((await last.finished).code, 125);
  });
});

test('what runs is shown, and does not keep a prune from working', async () => {
  const script = 'echo ready >&2; cat > /dev/null';
  const running = startProgram(project.kiln, ['--addr', rig.daemon.address, 'run', '-i', 'tried', script], {
    inputStaysOpen: true,
  });
  await running.said('ready');
  assert.equal((await treesLeft(rig.kiln)).length, 1);
  await rig.kiln.must(['prune', '--all']);
  assert.equal(running.hasEnded(), false);
  running.kill('SIGTERM');
  running.kill('SIGTERM');
  await running.finished;
});
