import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { eventually } from '../rig/eventually.ts';
import { copyHostProgram } from '../rig/host-program.ts';
import { Kiln } from '../rig/kiln.ts';
import { project } from '../rig/project.ts';
import { mustRun, runProgram, startProgram } from '../rig/run-program.ts';
import { daemonRig } from '../rig/suite-rig.ts';

describe('RUN --mount', () => {
  const rig = daemonRig();

  test('type=cache keeps files from build to build and out of the image', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
ARG ROUND
RUN --mount=type=cache,target=/kept echo "round $ROUND" >> /kept/log && cp /kept/log /seen
RUN test ! -e /kept/log
`,
    });
    assert.equal(await rig.kiln.textOf('seen', context, ['--build-arg', 'ROUND=1']), 'round 1\n');
    assert.equal(await rig.kiln.textOf('seen', context, ['--build-arg', 'ROUND=2']), 'round 1\nround 2\n');
  });

  test('type=cache is one for equal ids, starts from=, and has mode and owner as told', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base AS seed
RUN mkdir /seed && echo seeded > /seed/file
FROM base
RUN --mount=type=cache,id=one,target=/a,from=seed,source=/seed,uid=12,gid=13,mode=0750 \\
    cat /a/file > /result && stat -c '%a %u:%g' /a >> /result && echo more > /a/more
RUN --mount=type=cache,id=one,target=/b,from=seed,source=/seed,uid=12,gid=13,mode=0750 cat /b/more >> /result
RUN --mount=type=cache,id=two,target=/a ls /a >> /result
`,
    });
    const result = await rig.kiln.textOf('result', context);
    assert.match(result, /^seeded\n(.*)\nmore\n$/);
  });

  /** Two stages with the same step, told apart by WHO; their results, one after the other, are in /both. */
  const pair = (step: string) => `
FROM base AS left
ENV WHO=left OTHER=right
${step}
FROM base AS right
ENV WHO=right OTHER=left
${step}
FROM base
COPY --from=left /result /left
COPY --from=right /result /right
RUN cat /left /right > /both
`;
  /** Waits for the step of the other stage, so that both certainly run at the same time. */
  const meet =
    'touch /meet/$WHO && for i in $(seq 200); do test -e /meet/$OTHER && break; sleep 0.1; done && test -e /meet/$OTHER';

  test('type=cache,sharing=shared is used by two steps at once', async () => {
    const context = rig.work.tree({
      Dockerfile: pair(`RUN --mount=type=cache,id=met-shared,target=/meet ${meet} && echo met > /result`),
    });
    assert.equal(await rig.kiln.textOf('both', context), 'met\nmet\n');
  });

  test('type=cache,sharing=private gives each of two steps at once its own', async () => {
    const context = rig.work.tree({
      Dockerfile: pair(
        `RUN --mount=type=cache,id=met-private,target=/meet --mount=type=cache,id=private,sharing=private,target=/own \\
           touch /own/$WHO && ${meet} && ls /own > /result`,
      ),
    });
    assert.equal(await rig.kiln.textOf('both', context), 'left\nright\n');
  });

  test('type=cache,sharing=locked makes one of two steps wait, which then sees what the other left', async () => {
    const context = rig.work.tree({
      Dockerfile: pair(
        `RUN --mount=type=cache,id=locked,sharing=locked,target=/one \\
           mkdir /one/busy && sleep 0.3 && rmdir /one/busy && echo done >> /one/log && wc -l < /one/log > /result`,
      ),
    });
    const both = await rig.kiln.textOf('both', context);
    assert.deepEqual(both.trim().split('\n').sort(), ['1', '2']);
  });

  test('type=bind shows the context, a stage or an image, writable for the step only', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base AS stage
RUN mkdir /dir && echo staged > /dir/file
FROM base
RUN --mount=type=bind,target=/in,source=src cat /in/a > /result
RUN --mount=type=bind,from=stage,source=/dir,target=/in cat /in/file >> /result
RUN --mount=type=bind,from=stage,source=/dir/file,target=/single cat /single >> /result
RUN --mount=from=base,target=/other ls -d /other/bin/busybox >> /result
RUN --mount=type=bind,target=/in,source=src if touch /in/new; then exit 1; fi
RUN --mount=type=bind,target=/in,source=src,rw touch /in/new && ls /in >> /result
RUN --mount=type=bind,target=/in,source=src ls /in >> /result
`,
      'src/a': 'a from the context\n',
    });
    assert.equal(
      await rig.kiln.textOf('result', context),
      'a from the context\nstaged\nstaged\n/other/bin/busybox\na\nnew\na\n',
    );
  });

  test('type=tmpfs is empty, of the given size, and gone afterwards', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
RUN --mount=type=tmpfs,target=/scratch,size=1m \\
    grep ' /scratch tmpfs .*size=1024k' /proc/mounts && \\
    touch /scratch/x && ls /scratch > /result && ! head -c 2000000 /dev/zero > /scratch/full
RUN test ! -e /scratch/x
`,
    });
    assert.equal(await rig.kiln.textOf('result', context), 'x\n');
  });

  test('type=secret is a file or a variable for its step, never in the image, and not in the cache key', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /result && stat -c '%a %u:%g' /run/secrets/token >> /result
RUN --mount=type=secret,id=token,target=/etc/token,mode=0444,uid=5,gid=6 stat -c '%a %u:%g' /etc/token >> /result
RUN --mount=type=secret,id=token,env=TOKEN echo \${#TOKEN} >> /result
RUN --mount=type=secret,id=absent,target=/x test ! -e /x
RUN test ! -e /run/secrets/token && test ! -e /etc/token && test -z "$TOKEN"
`,
    });
    const file = rig.work.at('token');
    const secret = randomBytes(20).toString('hex');
    writeFileSync(file, secret);
    const result = await rig.kiln.textOf('result', context, ['--secret', `id=token,src=${file}`]);
    assert.equal(result, '40\n400 0:0\n444 5:6\n40\n');

    const other = await rig.kiln.build(context, ['--secret', 'id=token,env=MY_TOKEN'], {
      env: { MY_TOKEN: 'longer than before' },
    });
    assert.deepEqual(other.events.steps('ran'), []);
    const search = await runProgram('grep', ['-rl', secret, rig.daemon.root]);
    assert.equal(search.stdout, '');
  });

  test('secrets and the Dockerfile may come from pipes of the shell, and each step has the secret', async () => {
    const dockerfile = [
      'FROM base',
      'RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /result',
      'RUN --mount=type=secret,id=token wc -c < /run/secrets/token >> /result',
      'RUN --mount=type=secret,id=input wc -c < /run/secrets/input >> /result',
    ].join('\\n');
    const script = `printf 123 | ${project.kiln} "$@" --file <(printf '${dockerfile}') --secret id=token,src=<(printf 12345)`;
    const kiln = new Kiln({ address: rig.daemon.address }, rig.work.script('piped', script, '/bin/bash'));
    const args = ['--secret', 'id=input,src=/dev/stdin', '--no-cache'];
    assert.equal(await kiln.textOf('result', rig.work.tree({}), args), '5\n5\n3\n');
  });

  test('a secret that is required and not given fails, and says how to give it', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM base\nRUN --mount=type=secret,id=needed,required=true cat /run/secrets/needed\n',
    });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, /needed/);
    assert.match(stderr, /--secret id=needed/);
  });

  test('type=ssh reaches the agent of the client', async () => {
    const key = rig.work.at('key');
    const socket = rig.work.at('agent.sock');
    await mustRun('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'kiln-test', '-f', key]);
    const agent = startProgram('ssh-agent', ['-D', '-a', socket]);
    try {
      await eventually(() => existsSync(socket), agent.stderr);
      await mustRun('ssh-add', ['-q', key], { env: { SSH_AUTH_SOCK: socket } });
      const context = rig.work.tree({
        Dockerfile: `
FROM base
COPY --from=host . /
RUN --mount=type=ssh ssh-add -l > /result && stat -c '%F %a %u:%g' $SSH_AUTH_SOCK >> /result
RUN --mount=type=ssh,id=default,target=/agent,mode=0666,uid=3,gid=4 stat -c '%F %a %u:%g' /agent >> /result
RUN test -z "$SSH_AUTH_SOCK"
`,
      });
      const host = rig.work.tree({});
      await copyHostProgram('/usr/bin/ssh-add', host);
      const result = await rig.kiln.textOf(
        'result',
        context,
        ['--ssh', 'default', '--build-context', `host=${host}`],
        { env: { SSH_AUTH_SOCK: socket } },
      );
      assert.match(result, /^256 SHA256:\S+ kiln-test \(ED25519\)\nsocket 600 0:0\nsocket 666 3:4\n$/);
    } finally {
      agent.kill('SIGTERM');
      await agent.finished;
    }
  });
});
