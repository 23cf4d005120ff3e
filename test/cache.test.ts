import assert from 'node:assert/strict';
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Daemon } from './rig/daemon.ts';
import { WorkDirectory } from './rig/work-directory.ts';

describe('the cache', () => {
  let work: WorkDirectory;
  let daemon: Daemon;
  before(async () => {
    work = new WorkDirectory();
    daemon = await Daemon.start();
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });

  test('stages that nothing needs never run, and their files are not transferred', async () => {
    const context = work.tree({
      Dockerfile: `
FROM base AS unused
COPY unused.txt /
RUN echo this must not run && exit 7
FROM base AS wanted
RUN echo wanted > /file
FROM wanted AS also-unused
RUN exit 8
FROM scratch
COPY --from=wanted /file /
`,
      'unused.txt': 'unused',
    });
    const { events } = await daemon.kiln.build(context);
    assert.equal(events.has('exit 7'), false);
    assert.equal(events.has('exit 8'), false);
    assert.equal(events.has('load build context'), false);
    assert.equal(events.steps('ran').length, 2);
  });

  test('--target builds that stage and what it needs, no more', async () => {
    const context = work.tree({
      Dockerfile: `
FROM base AS one
RUN echo one > /file
FROM one AS two
RUN echo two > /file
FROM two
RUN exit 9
`,
    });
    assert.equal(await daemon.kiln.textOf('file', context, ['--target', 'two']), 'two\n');
    assert.equal(await daemon.kiln.textOf('file', context, ['--target', 'one']), 'one\n');
  });

  test('COPY is cached by content, not by time stamps', async () => {
    const context = work.tree({
      Dockerfile: 'FROM base\nCOPY a.txt /\nRUN cat a.txt > /copied',
      'a.txt': 'first',
    });
    const file = path.join(context, 'a.txt');
    assert.equal((await daemon.kiln.build(context)).events.steps('ran').length, 2);

    utimesSync(file, new Date(), new Date(Date.now() + 100_000));
    const touched = await daemon.kiln.build(context);
    assert.deepEqual(touched.events.steps('ran'), []);

    writeFileSync(file, 'other');
    const changed = await daemon.kiln.build(context);
    assert.equal(changed.events.steps('ran').length, 2);

    writeFileSync(file, 'first');
    const changedBack = await daemon.kiln.build(context);
    assert.deepEqual(changedBack.events.steps('ran'), []);
  });

  test('a file that no COPY names does not invalidate anything', async () => {
    const context = work.tree({
      Dockerfile: 'FROM base\nCOPY src/*.txt /src/\nRUN ls /src',
      'src/a.txt': 'a',
      'src/b.md': 'b',
    });
    await daemon.kiln.build(context);
    writeFileSync(path.join(context, 'src/b.md'), 'changed');
    writeFileSync(path.join(context, 'new'), 'new');
    const again = await daemon.kiln.build(context);
    assert.deepEqual(again.events.steps('ran'), []);
  });

  test('an equal result upstream keeps what comes after it cached', async () => {
    const context = work.tree({
      Dockerfile: `
FROM base AS made
ARG NOTE
RUN echo $NOTE && echo constant > /file
FROM base
COPY --from=made /file /
RUN sha256sum /file
`,
    });
    await daemon.kiln.build(context, ['--build-arg', 'NOTE=1']);
    const { events } = await daemon.kiln.build(context, ['--build-arg', 'NOTE=2']);
    assert.deepEqual(
      events.steps('ran').map((name) => name.replace(/^\S+ \S+ /, '')),
      ['RUN echo 2 && echo constant > /file'],
    );
  });

  test('--no-cache runs every step again, --no-cache-filter those of one stage', async () => {
    const context = work.tree({
      Dockerfile: `
FROM base AS one
RUN head -c 8 /dev/urandom | od -x > /one
FROM base AS two
RUN head -c 9 /dev/urandom | od -x > /two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
`,
    });
    const texts = async (...args: string[]) => [
      await daemon.kiln.textOf('one', context, args),
      await daemon.kiln.textOf('two', context),
    ];
    const first = await texts();
    assert.deepEqual(await texts(), first);
    const forced = await texts('--no-cache');
    assert.notEqual(forced[0], first[0]);
    assert.notEqual(forced[1], first[1]);
    // What ran anew is what is found from now on.
    assert.deepEqual(await texts(), forced);
    const filtered = await texts('--no-cache-filter', 'one');
    assert.notEqual(filtered[0], forced[0]);
    assert.equal(filtered[1], forced[1]);
  });

  test('survives a restart of the daemon', async () => {
    using own = new WorkDirectory();
    const root = own.at('root');
    const context = own.tree({
      Dockerfile: 'FROM base\nCOPY file /\nRUN head -c 8 /dev/urandom | od -x > /random',
      file: 'content',
    });
    const builds: string[] = [];
    for (let round = 0; round < 2; round++) {
      await using restarted = await Daemon.start({ root });
      builds.push(await restarted.kiln.textOf('random', context));
      const { events } = await restarted.kiln.build(context);
      assert.deepEqual(events.steps('ran'), []);
    }
    assert.equal(builds[0], builds[1]);
  });

  test('is listed by du and emptied by prune', async () => {
    using own = new WorkDirectory();
    await using other = await Daemon.start();
    const context = own.tree({ Dockerfile: 'FROM base\nRUN echo counted > /file' });
    await other.kiln.build(context);
    const listed = await other.kiln.must(['du']);
    assert.match(listed.stdout, /^ID\s+RECLAIMABLE\s+SIZE\s+LAST ACCESSED/m);
    const records = JSON.parse((await other.kiln.must(['du', '--format', 'json'])).stdout) as unknown[];
    assert.ok(records.length >= 2, listed.stdout);
    const verbose = await other.kiln.must(['du', '--verbose', '--filter', 'type==regular']);
    assert.match(verbose.stdout, /echo counted/);

    const pruned = await other.kiln.must(['prune', '--all']);
    assert.match(pruned.stdout, /^Total:/m);
    assert.deepEqual(JSON.parse((await other.kiln.must(['du', '--format', 'json'])).stdout) ?? [], []);
    const { events } = await other.kiln.build(context);
    assert.equal(events.steps('ran').length, 1);
  });
});

describe('the context', () => {
  let work: WorkDirectory;
  let daemon: Daemon;
  before(async () => {
    work = new WorkDirectory();
    daemon = await Daemon.start();
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });

  test('travels once: a second build transfers changed files only', async () => {
    const large = 'x'.repeat(300_000);
    const context = work.tree({
      Dockerfile: 'FROM scratch\nCOPY . /',
      'a.txt': large,
      'b.txt': large,
      'c.txt': 'small',
    });
    const transferred = async () => {
      const { events } = await daemon.kiln.build(context);
      const vertex = events.vertex('load build context');
      const status = events.statuses.find(
        (item) => item.vertex === vertex.digest && item.id.startsWith('transferring'),
      );
      return status?.current ?? 0;
    };
    assert.ok((await transferred()) > 600_000);
    assert.ok((await transferred()) < 5_000);
    writeFileSync(path.join(context, 'c.txt'), 'changed');
    assert.ok((await transferred()) < 5_000);
    writeFileSync(path.join(context, 'b.txt'), `${large}y`);
    const once = await transferred();
    assert.ok(once > 300_000 && once < 310_000, `${once} bytes`);
  });

  test('a file that is deleted or changes its type is so in the next build', async () => {
    const context = work.tree({
      Dockerfile: 'FROM base\nCOPY . /in/\nRUN cd /in && find . | sort > /list && cat b > /b',
      a: 'a',
      b: 'b',
      'c/d': 'd',
    });
    assert.match(await daemon.kiln.textOf('list', context), /\.\/a\n\.\/b\n\.\/c\n\.\/c\/d\n/);
    rmSync(path.join(context, 'a'));
    rmSync(path.join(context, 'c'), { recursive: true });
    writeFileSync(path.join(context, 'c'), 'now a file');
    assert.equal(await daemon.kiln.textOf('list', context), '.\n./Dockerfile\n./b\n./c\n');
  });

  test('.dockerignore keeps files out, and lets some of them in again', async () => {
    const context = work.tree({
      Dockerfile: 'FROM base\nCOPY . /in/\nRUN cd /in && find . -type f | sort > /list',
      '.dockerignore': '# comment\n*.log\n!keep.log\n**/tmp\nnode_modules/\nDockerfile\n.dockerignore\n',
      'a.txt': '',
      'b.log': '',
      'keep.log': '',
      'src/tmp/x': '',
      'src/c.log': '',
      'node_modules/m/index.js': '',
    });
    assert.equal(await daemon.kiln.textOf('list', context), './a.txt\n./keep.log\n./src/c.log\n');
  });

  test("a Dockerfile's own ignore file goes before .dockerignore", async () => {
    const context = work.tree({
      'app.Dockerfile': 'FROM base\nCOPY . /in/\nRUN cd /in && find . -name "*.txt" | sort > /list',
      'app.Dockerfile.dockerignore': 'a.txt\n',
      '.dockerignore': 'b.txt\n',
      'a.txt': '',
      'b.txt': '',
    });
    const list = await daemon.kiln.textOf('list', context, ['-f', path.join(context, 'app.Dockerfile')]);
    assert.equal(list, './b.txt\n');
  });

  test('keeps modes, links and times of its files; all belong to root', async () => {
    const context = work.tree({
      Dockerfile:
        'FROM base\nCOPY . /in/\nRUN stat -c "%n %a %u:%g %Y %F" /in/run /in/secret /in/link > /list',
      run: { content: '', mode: 0o755 },
      secret: { content: '', mode: 0o600 },
      link: { link: 'run' },
    });
    for (const name of ['run', 'secret']) utimesSync(path.join(context, name), 1_000_000, 1_000_000);
    const list = await daemon.kiln.textOf('list', context);
    const lines = list.split('\n');
    assert.equal(lines[0], '/in/run 755 0:0 1000000 regular empty file');
    assert.equal(lines[1], '/in/secret 600 0:0 1000000 regular empty file');
    assert.match(lines[2] ?? '', /^\/in\/link 777 0:0 \d+ symbolic link$/);
  });

  test('a Dockerfile is read from standard input', async () => {
    const context = work.tree({ 'a.txt': 'from the context' });
    const text = await daemon.kiln.textOf('b.txt', context, ['-f', '-'], {
      input: 'FROM scratch\nCOPY a.txt /b.txt\n',
    });
    assert.equal(text, readFileSync(path.join(context, 'a.txt'), 'utf8'));
  });
});
