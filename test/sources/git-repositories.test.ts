import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GitRepository, GitServer } from '../../src/source/git/git-rig.ts';
import { buildctlClients } from '../rig/clients.ts';
import { policyArguments } from '../rig/policy-arguments.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

describe('a git repository', () => {
  const rig = suiteRig(async (resources) => {
    const opened = await openDaemon(resources);
    const server = resources.use(await GitServer.start(opened.work.at('served')));
    const app = new GitRepository(opened.work.at('served/app.git'));
    const first = app.commit({
      Dockerfile: 'FROM base\nCOPY . /all\nRUN cd /all && find . -type f | sort > /list\n',
      'other.Dockerfile': 'FROM base\nRUN echo other > /list\n',
      '.dockerignore': '*.md\n',
      'read.md': 'read',
      'server/Dockerfile': 'FROM base\nCOPY main.c /\nRUN cat /main.c > /list\n',
      'server/main.c': 'one\n',
      'bin/tool': { program: '#!/bin/sh\n' },
    });
    app.git('tag', '--annotate', '--message=x', 'v1');
    app.commit({ 'server/main.c': 'two\n' });
    return { ...opened, server, app, first };
  });

  /** The file /list of what a Dockerfile makes, which may name the repository as APP. */
  const listOf = async (dockerfile: string, args: readonly string[] = []) => {
    const Dockerfile = dockerfile.replaceAll('APP', rig.server.url('app.git'));
    return await rig.kiln.textOf('list', rig.work.tree({ Dockerfile }), args);
  };

  test('is a build context: all of it, also what .dockerignore names', async () => {
    assert.equal(
      await rig.kiln.textOf('list', rig.server.url('app.git')),
      './.dockerignore\n./Dockerfile\n./bin/tool\n./other.Dockerfile\n./read.md\n./server/Dockerfile\n./server/main.c\n',
    );
    const usage = await rig.kiln.must(['du', '--verbose']);
    assert.match(usage.stdout, /source\.git\.checkout/);
  });

  test('is a build context at a tag, in a directory, with another Dockerfile', async () => {
    const url = rig.server.url('app.git');
    assert.equal(await rig.kiln.textOf('list', `${url}#v1:server`), 'one\n');
    assert.equal(await rig.kiln.textOf('list', `${url}?branch=main&subdir=server`), 'two\n');
    assert.equal(await rig.kiln.textOf('list', `${url}?commit=${rig.first}&tag=v1&subdir=server`), 'one\n');
    assert.equal(await rig.kiln.textOf('list', url, ['-f', 'other.Dockerfile']), 'other\n');
    const { stderr } = await rig.kiln.failingBuild(`${url}?commit=${rig.first}&branch=main`);
    assert.match(stderr, new RegExp(`expected checksum to match ${rig.first}, got [0-9a-f]{40}`));
  });

  test('is cached by its commit, and built anew after a push', async () => {
    const pushed = new GitRepository(rig.work.at('served/pushed.git'));
    pushed.commit({ Dockerfile: 'FROM base\nCOPY file /\nRUN cat /file > /list\n', file: 'one\n' });
    const url = rig.server.url('pushed.git');
    assert.equal(await rig.kiln.textOf('list', url), 'one\n');
    const again = await rig.kiln.build(url);
    assert.ok(again.events.vertices.filter(({ name }) => name.includes('RUN')).every(({ cached }) => cached));
    pushed.commit({ file: 'two\n' });
    const { events } = await rig.kiln.build(url, ['--explain']);
    const { digest } = events.vertex(`load git source ${url}`);
    assert.equal(events.explanation(digest), `${rig.server.host}/pushed.git has changed`);
    assert.equal(await rig.kiln.textOf('list', url), 'two\n');
  });

  test('is a build context of other clients, with its history on request', async () => {
    const kept = new GitRepository(rig.work.at('served/kept.git'));
    kept.commit({ Dockerfile: 'FROM scratch\nCOPY .git/HEAD /head\n' });
    const commit = kept.git('rev-parse', 'HEAD');
    for (const { name, program } of buildctlClients()) {
      const { bytes } = await mustRun(program, [
        ...['--addr', rig.daemon.address, 'build', '--frontend', 'dockerfile.v0'],
        ...[
          '--opt',
          `context=${rig.server.url('kept.git')}`,
          '--opt',
          'build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR=1',
        ],
        ...['--output', 'type=tar,dest=-'],
      ]);
      const head = await mustRun('tar', ['-xOf', '-', 'head'], { input: bytes });
      assert.equal(head.stdout, `${commit}\n`, name);
    }
  });

  test('is added to a stage, with the flags of ADD', async () => {
    assert.equal(
      await listOf(
        'FROM base\nADD --chown=5:6 --chmod=700 --exclude=*.md --link APP#v1 /src/\nRUN cd /src && stat -c "%n %u:%g %a" bin/tool server/main.c > /list && ls -A >> /list\n',
      ),
      'bin/tool 5:6 700\nserver/main.c 5:6 700\n.dockerignore\nDockerfile\nbin\nother.Dockerfile\nserver\n',
    );
    assert.equal(
      await listOf('FROM base\nADD APP?subdir=bin /src/\nRUN stat -c "%n %u:%g %a" /src/* > /list\n'),
      '/src/tool 0:0 755\n',
    );
    assert.equal(
      await listOf(
        `FROM base\nADD --keep-git-dir=true --checksum=${rig.first} APP#v1 /src/\nRUN cat /src/.git/HEAD > /list\n`,
      ),
      `${rig.first}\n`,
    );
  });

  test('gives its time to what is built of it', async () => {
    const dated = new GitRepository(rig.work.at('served/dated.git'));
    dated.commit({
      Dockerfile:
        'FROM base\nARG SOURCE_DATE_EPOCH\nCOPY . /all/\nRUN stat -c %Y /all/file > /list; echo $SOURCE_DATE_EPOCH >> /list\n',
      file: 'x',
    });
    const time = dated.git('log', '-1', '--format=%ct');
    const args = ['--build-arg', 'SOURCE_DATE_EPOCH=context'];
    assert.equal(await rig.kiln.textOf('list', rig.server.url('dated.git'), args), `${time}\n${time}\n`);
  });

  test('of another checksum is refused, and the error shows where', async () => {
    const wrong = rig.first.replace(/./g, '0');
    const context = rig.work.tree({
      Dockerfile: `FROM base\nADD --checksum=${wrong} ${rig.server.url('app.git')}#v1 /src/\n`,
    });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, new RegExp(`expected checksum to match ${wrong}, got [0-9a-f]{40} or ${rig.first}`));
    assert.match(stderr, /2 \| >>> ADD --checksum/);
  });

  test('without the ref is an error that says what may be meant', async () => {
    const { stderr } = await rig.kiln.failingBuild(`${rig.server.url('app.git')}#mian`);
    assert.match(stderr, /repository does not contain ref mian: http:\/\/127\.0\.0\.1:\d+\/app\.git/);
    assert.match(stderr, /did you mean main\?/);
  });

  test('is a named context', async () => {
    const list = await listOf('FROM base\nCOPY --from=code /server/main.c /list\n', [
      '--build-context',
      `code=${rig.server.url('app.git')}#v1`,
    ]);
    assert.equal(list, 'one\n');
  });

  test('is opened with a secret of the client', async () => {
    rig.server.behaviour.authorization = `basic ${Buffer.from('x-access-token:abc').toString('base64')}`;
    try {
      const url = `${rig.server.url('app.git')}#v1:server`;
      const { stderr } = await rig.kiln.failingBuild(url);
      assert.match(stderr, /--secret id=GIT_AUTH_TOKEN/);
      const secret = ['--secret', 'id=GIT_AUTH_TOKEN,env=TOKEN'];
      assert.equal(await rig.kiln.textOf('list', url, secret, { env: { TOKEN: 'abc' } }), 'one\n');
    } finally {
      delete rig.server.behaviour.authorization;
    }
  });

  test('can be denied or pinned by a source policy', async () => {
    const policy = (rule: object) => policyArguments(rig.work, rule);
    const dockerfile = 'FROM base\nADD APP?subdir=server /src/\nRUN cat /src/main.c > /list\n';
    const selector = { identifier: `git://${rig.server.host}/app.git#:server` };
    const pin = {
      action: 'CONVERT',
      selector,
      updates: { identifier: `git://${rig.server.host}/app.git#v1:server` },
    };
    assert.equal(await listOf(dockerfile, policy(pin)), 'one\n');
    const context = rig.work.tree({ Dockerfile: dockerfile.replaceAll('APP', rig.server.url('app.git')) });
    const { stderr } = await rig.kiln.failingBuild(context, policy({ action: 'DENY', selector }));
    assert.match(stderr, /source "git:\/\/.*" denied by policy/);
  });
});
