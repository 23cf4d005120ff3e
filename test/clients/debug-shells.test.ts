import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Control } from '../../src/api/gen/control_pb.js';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { type FailedBuild, failedBuilds } from '../../src/client/processes/debug-shell.ts';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { Daemon } from '../rig/daemon.ts';
import { eventually } from '../rig/eventually.ts';
import { Kiln } from '../rig/kiln.ts';
import { leftoversOf } from '../rig/leftovers.ts';
import { project } from '../rig/project.ts';
import { runProgram, startProgram } from '../rig/run-program.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { Screen } from '../rig/terminals/screen.ts';
import { inTerminal } from '../rig/terminals/terminal.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const failing = `
FROM base
ENV GREETING=hello
RUN mkdir /work && chown 7:8 /work
WORKDIR /work
USER 7:8
RUN --network=none --mount=type=secret,id=word,uid=7,target=/tmp/word --mount=type=tmpfs,target=/memory \
    --mount=type=cache,id=shells,target=/cache,mode=0777 --mount=type=bind,source=given,target=/given \
    echo made > made; echo kept > /cache/kept; echo lost > /memory/lost; exit 3
`;
const context = { Dockerfile: failing, given: 'given\n' };

async function kept({ address }: Daemon): Promise<readonly FailedBuild[]> {
  await using connection = await connectDaemon(address);
  return await failedBuilds(connection, new AbortController().signal);
}

/** The descriptions of what failed steps have left. */
async function records({ address }: Daemon): Promise<readonly string[]> {
  await using connection = await connectDaemon(address);
  const control = createClient(Control, connection.transport);
  const { records: found } = await control.diskUsage({ filters: ['type==failed.step'] });
  return found.map(({ description }) => description);
}

/** What a shell without a terminal says when it is given a script. */
async function shell(kiln: Kiln, script: string, ...args: readonly string[]) {
  return await kiln.run(['debug', 'shell', ...args], { input: script });
}

describe('a shell in a failed step', () => {
  const rig = daemonRig();

  test('has the files, mounts, variables, user, directory and network of the step, for whoever asks later', async () => {
    const { kiln } = rig;
    await kiln.failingBuild(rig.work.tree({ ...context, secret: 'hidden' }), [
      '--secret',
      `id=word,src=${rig.work.tree({ word: 'hidden' })}/word`,
    ]);
    const script = [
      'id -u; id -g; pwd; echo "$GREETING"; cat made /cache/kept /given; ls /memory; ls /tmp/word',
      'grep -c : /proc/net/dev; echo changed > made; exit 5',
    ].join('\n');
    const { code, stdout, stderr } = await shell(kiln, script);
    assert.equal(code, 5, stderr);
    assert.equal(stdout, '7\n8\n/work\nhello\nmade\nkept\ngiven\n1\n');
    assert.match(stderr, /^\/bin\/sh in the failed step \[stage-0 4\/4\] RUN --network=none/);
    assert.match(stderr, /^note: what was in file systems in memory \(tmpfs\) is gone$/m);
    assert.match(stderr, /^note: secret word at \/tmp\/word is not there: pass --secret id=word,src=FILE$/m);
    assert.match(stderr, /^note: it has no network, like the step$/m);

    const word = `${rig.work.tree({ word: 'offered' })}/word`;
    const again = await shell(kiln, 'cat made /tmp/word', '--secret', `id=word,src=${word}`);
    assert.equal(again.stdout, 'made\noffered');
    assert.doesNotMatch(again.stderr, /secret word/);
    assert.equal((await records(rig.daemon)).length, 1);

    const brought = await shell(kiln, 'echo $0; which vi', '--bring-shell');
    assert.equal(brought.stdout, '/.kiln/bin/sh\n/bin/vi\n');
  });

  test('is found by the build and the step, or what they begin with', async () => {
    const { kiln } = rig;
    const steps = `
      FROM base AS one
      RUN until test -e /together/two; do :; done; : > /together/one; exit 1
      FROM base AS two
      RUN exit 2
      FROM base
      COPY --from=two / /two
      COPY --from=one / /one
    `;
    const before = await kept(rig.daemon);
    await kiln.failingBuild(rig.work.tree({ Dockerfile: steps }));
    const latest = (await kept(rig.daemon)).at(-1)!;
    assert.equal((await kept(rig.daemon)).length, before.length + 1);
    const { ref } = latest;
    assert.deepEqual(
      latest.steps.map(({ name, cause }) => [name, cause]),
      [['[two 2/2] RUN exit 2', true]],
    );
    const { digest } = latest.steps[0]!;
    for (const place of [`${ref}:1`, ref.slice(0, 20), `:${digest.slice(7, 20)}`]) {
      const { stdout, stderr } = await shell(kiln, 'echo here', place);
      assert.equal(stdout, 'here\n', `${place}: ${stderr}`);
    }
    const fails = async (place: string) => {
      const { code, stderr } = await shell(kiln, '', place);
      return `${code}: ${stderr}`;
    };
    assert.match(
      await fails('nowhere'),
      /^125: error: no failed step of a build "nowhere" is kept\nhint: kiln debug shell --list/,
    );
    assert.match(await fails(`${ref}:2`), /^125: error: build [0-9a-f]+ has no failed step "2"/);
    assert.match(await fails(`${ref}:0`), /has no failed step "0"/);
    const { stdout } = await kiln.must(['debug', 'shell', '--list']);
    assert.match(stdout, new RegExp(`^${ref}:1 \\*  \\S+Z  \\S+Z  \\[two 2/2\\] RUN exit 2$`, 'm'));
    assert.equal(latest.keptUntil.getTime() - latest.failedAt.getTime(), 3_600_000);
  });

  test('is brought along where the image has none, and nothing of the image changes', async () => {
    const { kiln } = rig;
    const bare = `
      FROM base AS tools
      FROM scratch
      COPY --from=tools /bin/busybox /app
      USER 1000:1000
      RUN ["/app", "false"]
    `;
    await kiln.failingBuild(rig.work.tree({ Dockerfile: bare }));
    const { stdout, stderr } = await shell(
      kiln,
      'id -u; ls -d /app /bin; echo /.kiln/*; : > /.kiln/bin/new || echo no',
    );
    assert.equal(stdout, '1000\n/app\n/.kiln/bin\n', stderr);
    assert.match(stderr, /^\/\.kiln\/bin\/sh in the failed step/);
    assert.match(stderr, /can't create \/\.kiln\/bin\/new: Read-only file system/);
  });

  test('of a step that copies shows what it was writing to, and what it copies from', async () => {
    const { kiln } = rig;
    const copying = 'FROM base\nRUN ln -s x /loop && ln -s loop /x\nCOPY file /loop/file\n';
    await kiln.failingBuild(rig.work.tree({ Dockerfile: copying, file: 'text' }));
    const writing = await shell(kiln, 'readlink /loop; cat /.kiln/source/file; : > /.kiln/source/new');
    assert.equal(writing.stdout, 'x\ntext');
    assert.match(writing.stderr, /note: what it copies from is at \/\.kiln\/source\n/);
    assert.match(writing.stderr, /Read-only file system/);

    const missing =
      'FROM base AS made\nRUN echo there > /there\nFROM scratch\nCOPY --from=made /not-there /\n';
    await kiln.failingBuild(rig.work.tree({ Dockerfile: missing }));
    const lacking = await shell(kiln, 'cat /there');
    assert.equal(lacking.stdout, 'there\n');
    assert.match(
      lacking.stderr,
      /note: the step has not begun; these are the files that it lacks something in\n/,
    );
  });

  test('opens nothing for a build that failed without a step, that succeeded, or whose step was pruned', async () => {
    const { kiln } = rig;
    const before = (await kept(rig.daemon)).length;
    await kiln.failingBuild(rig.work.tree({ Dockerfile: 'FROM base\nWHAT\n' }));
    await kiln.build(rig.work.tree({ Dockerfile: 'FROM base\n' }));
    assert.equal((await kept(rig.daemon)).length, before);
    await kiln.failingBuild(
      rig.work.tree({ Dockerfile: 'FROM base\nRUN echo of a step that is pruned; exit 1\n' }),
    );
    assert.equal((await kept(rig.daemon)).length, before + 1);
    await kiln.must(['prune']);
    assert.deepEqual(await records(rig.daemon), []);
    const { code, stderr } = await shell(kiln, '');
    assert.equal(code, 125);
    assert.match(stderr, /^error: no failed step is kept\nhint: steps go after a while/);
  });

  test('keeps its files while others prune, and goes with its client', async () => {
    const { kiln } = rig;
    await kiln.failingBuild(rig.work.tree(context));
    const args = ['--addr', rig.daemon.address, 'debug', 'shell'];
    const client = startProgram(project.kiln, args, {
      input: 'echo ready >&2; sleep 1000\n',
      inputStaysOpen: true,
    });
    await client.said('ready');
    await kiln.must(['prune', '--all']);
    assert.equal((await records(rig.daemon)).length, 1);
    client.kill('SIGKILL');
    await client.finished;
    await eventually(
      () => whatIsLeft(rig.daemon.root).length === 0,
      () => whatIsLeft(rig.daemon.root),
    );
    await kiln.must(['prune']);
    assert.deepEqual(await records(rig.daemon), []);
  });

  test('has the terminal once a build has failed, and gives it back', async () => {
    const ended = rig.work.at('ended');
    const directory = rig.work.tree(context);
    const build = [
      `${project.kiln} --addr ${rig.daemon.address} build --debug-shell`,
      `--build-context base=oci-layout://${baseLayout().directory} ${directory}`,
    ].join(' ');
    const script = `before=$(stty -g); ${build}; echo "code $?" > ${ended}; test "$before" = "$(stty -g)" && echo restored >> ${ended}`;
    await using screen = await Screen.open(rig.work.at('tmux'), script);
    await screen.shows(
      /error: failed to solve: [\s\S]*in the failed step \[stage-0 4\/4\][\s\S]*\/work \$ ?$/m,
    );
    await screen.type('clear; echo "$TERM $GREETING"; cat made; id -u; stty size', 'Enter');
    await screen.shows(/^\S+ hello\nmade\n7\n30 100\n/m);
    await screen.type("clear; printf '\\033[31mred\\033[0m\\n'", 'Enter');
    await screen.until(async () => (await screen.text({ colours: true })).includes('\x1b[31mred'));
    await screen.resize(70, 20);
    await screen.until(async () => {
      await screen.type('clear; stty size', 'Enter');
      return (await screen.text()).includes('20 70');
    });
    await screen.type('clear; echo begins; sleep 1000; echo "interrupted: $?"', 'Enter');
    await screen.shows(/^begins$/m);
    await screen.type('C-c');
    await screen.type('echo "goes on"', 'Enter');
    await screen.shows(/^goes on$/m);
    await screen.type('exit 9', 'Enter');
    await screen.until(() => existsSync(ended) && readFileSync(ended, 'utf8').includes('restored'));
    assert.equal(readFileSync(ended, 'utf8'), 'code 1\nrestored\n');
  });

  test('is refused before anything is built where there is no terminal', async () => {
    const { code, stderr } = await rig.kiln.failingBuild(rig.work.tree(context), ['--debug-shell']);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^error: --debug-shell needs a terminal, and standard input is none\nhint: .*kiln debug shell/,
    );
    assert.doesNotMatch(stderr, /load build definition/);
  });
});

test('without a daemon the shell of a failed build is opened, and leaves nothing', async () => {
  using work = new WorkDirectory();
  const root = work.at('root');
  const build = ['--root', root, 'build', '--debug-shell', '--progress', 'plain', '--build-context'];
  const base = `base=oci-layout://${baseLayout().directory}`;
  const { code, text } = await inTerminal(project.kiln, [...build, base, work.tree(context)], {
    input: 'cat made; stty size; exit\n',
  });
  assert.equal(code, 1);
  assert.match(text, /error: failed to solve[\s\S]*\/work \$ [\s\S]*^made\n40 120\n/m);
  assert.deepEqual(leftoversOf(root), []);
  const { stdout } = await new Kiln({ root }).must([
    'du',
    '--filter',
    'type==failed.step',
    '--format',
    'json',
  ]);
  assert.equal(stdout.trim(), '[]');
  const later = await runProgram(project.kiln, ['--root', root, 'debug', 'shell']);
  assert.match(
    later.stderr,
    /without a daemon nothing is left of a build that has failed\nhint: build with --debug-shell/,
  );
});

test('a daemon keeps no steps if it is told so, unless a client asks, and none outlives it', async () => {
  using work = new WorkDirectory();
  const root = work.at('root');
  const config = `${work.tree({ 'kilnd.toml': '[history]\nkeepFailedSteps = "0"\n' })}/kilnd.toml`;
  const directory = work.tree(context);
  {
    await using daemon = await Daemon.start({ root, args: ['--config', config] });
    await daemon.kiln.failingBuild(directory);
    assert.deepEqual([await kept(daemon), await records(daemon)], [[], []]);
    const { text } = await inTerminal(
      project.kiln,
      [
        ...['--addr', daemon.address, 'build', '--debug-shell', '--build-context'],
        ...[`base=oci-layout://${baseLayout().directory}`, directory],
      ],
      { input: 'echo "it $((1 + 1)) works"; exit\n' },
    );
    assert.match(text, /it 2 works/);
  }
  const killed = await Daemon.start({ root });
  assert.deepEqual(await records(killed), []);
  await killed.kiln.failingBuild(directory);
  assert.equal((await records(killed)).length, 1);
  killed.process.kill('SIGKILL');
  await killed.process.finished;
  await using next = await Daemon.start({ root });
  assert.deepEqual([await kept(next), await records(next)], [[], []]);
});
